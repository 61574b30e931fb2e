"""A simulated board: a design with a serial line, whose other end is a stream of bytes."""

import ctypes
from functools import cache
from pathlib import Path

from adagp.spec.config import AcceleratorConfig

from . import verilator

DRIVER = Path(__file__).with_name("serial_driver.cpp")
DIVISOR = 4
SILENCE_CYCLES = 1000
PATIENCE_CYCLES = 20_000
"""Cycles without a byte after which a read ends: longer than the bridge's silence and its timeout."""


class SerialBoard:
    """The top module in ``verilog``, which has ``clk``, ``rst``, ``rx`` and ``tx``, out of reset. It is
    a :class:`adagp.host.ByteStream`."""

    def __init__(self, verilog: str):
        self._library = _load(verilator.build(verilog, DRIVER))
        self._board = self._library.board_create(DIVISOR)

    def __del__(self):
        if getattr(self, "_board", None):
            self._library.board_destroy(self._board)

    def write(self, data: bytes) -> None:
        for byte in data:
            self._library.board_send(self._board, byte << 1 | 1 << 9)

    def write_broken(self, byte: int) -> None:
        """Sends a byte without its stop bit."""
        self._library.board_send(self._board, byte << 1)

    def read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and (byte := self._library.board_receive(self._board, PATIENCE_CYCLES)) >= 0:
            data.append(byte)
        assert not self._library.board_framing_errors(self._board), "the design sent a byte without start or stop bit"
        return bytes(data)

    def idle(self, cycles: int) -> None:
        """Lets time pass."""
        self._library.board_idle(self._board, cycles)

    @property
    def cycles(self) -> int:
        """Clock cycles since the beginning."""
        return self._library.board_cycles(self._board)


@cache
def hosted_verilog(config: AcceleratorConfig, memory_bytes: int) -> str:
    """The machine of ``config`` behind its bridge."""
    from adagp_hdl.bridge.system import HostedAccelerator
    from adagp_hdl.verilog import convert

    return convert(HostedAccelerator(config, memory_bytes=memory_bytes, divisor=DIVISOR,
                                     silence_cycles=SILENCE_CYCLES), name="hosted")


@cache
def _load(library: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(library))
    board, u64 = ctypes.c_void_p, ctypes.c_uint64
    for name, result, arguments in (
            ("create", board, [ctypes.c_uint32]), ("destroy", None, [board]), ("send", None, [board, ctypes.c_uint32]),
            ("receive", ctypes.c_int, [board, u64]), ("idle", None, [board, u64]), ("cycles", u64, [board]),
            ("framing_errors", u64, [board])):
        function = getattr(loaded, f"board_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded
