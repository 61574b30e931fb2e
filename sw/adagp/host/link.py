"""Registers and memory of a board at the other end of a stream of bytes."""

from collections.abc import Callable, Iterator
from typing import Protocol

from adagp.spec.bridge import MOST_WORDS, WORD_BYTES, Command, Status, request

_MOST_BYTES = MOST_WORDS * WORD_BYTES


class BridgeError(Exception):
    """A request failed: ``status`` as the bridge says, or None where it did not answer to the end."""

    def __init__(self, what: str, status: Status | None, why: str):
        super().__init__(f"{what} failed: {why}")
        self.status = status


class ByteStream(Protocol):
    """What of ``serial.Serial`` is used. A read or write that stands still must end: give it a timeout."""

    def write(self, data: bytes) -> object:
        """Sends all of ``data``."""

    def read(self, size: int) -> bytes:
        """``size`` bytes, or fewer where no more come in time."""


def open_serial(port: str, bits_per_second: int, *, timeout: float = 1.0) -> ByteStream:
    """The serial port called ``port``, for instance ``/dev/ttyUSB0``. ``timeout`` in seconds must be longer
    than the silence for which the bridge waits. RuntimeError without pyserial, OSError without the port."""
    try:
        from serial import Serial
    except ImportError as error:
        raise RuntimeError("a serial port needs pyserial: pip install pyserial") from error
    return Serial(port, bits_per_second, timeout=timeout, write_timeout=timeout)


class Link:
    """Requests to the bridge of a board over ``stream``. Addresses and sizes are multiples of 4 bytes.

    A request that fails raises :class:`BridgeError`; the next one finds the bridge waiting for it. So does
    the first, whatever another host has left unfinished.
    """

    def __init__(self, stream: ByteStream):
        self._stream = stream
        self._await_silence()

    @property
    def memory_bytes(self) -> int:
        """Size of the machine's external memory."""
        return int.from_bytes(self._ask(Command.READ_BRIDGE, 0, WORD_BYTES), "little")

    def read_registers(self, address: int, words: int = 1) -> list[int]:
        """The values of ``words`` registers from byte ``address`` on."""
        data = self._ask(Command.READ_REGISTERS, address, words * WORD_BYTES)
        return [int.from_bytes(data[place:place + WORD_BYTES], "little") for place in range(0, len(data), WORD_BYTES)]

    def write_register(self, address: int, value: int) -> None:
        """Writes the register at byte ``address``."""
        self._tell(Command.WRITE_REGISTERS, address, value.to_bytes(WORD_BYTES, "little"))

    def read_memory(self, address: int, size: int, *, progress: Callable[[int], None] = lambda done: None) -> bytes:
        """``size`` bytes from ``address`` on; ``progress`` is told how many are there."""
        data = bytearray()
        for first, count in _pieces(address, size):
            data += self._ask(Command.READ_MEMORY, first, count)
            progress(len(data))
        return bytes(data)

    def write_memory(self, address: int, data: bytes, *, progress: Callable[[int], None] = lambda done: None) -> None:
        """Writes ``data`` from ``address`` on; ``progress`` is told how many bytes are there."""
        for first, count in _pieces(address, len(data)):
            self._tell(Command.WRITE_MEMORY, first, data[first - address:first - address + count])
            progress(first - address + count)

    def _ask(self, command: Command, address: int, size: int) -> bytes:
        """The words of one read."""
        self._stream.write(request(command, address, size // WORD_BYTES))
        return self._answer(command, address, size)

    def _tell(self, command: Command, address: int, data: bytes) -> None:
        """One write."""
        self._stream.write(request(command, address, len(data) // WORD_BYTES) + data)
        self._answer(command, address, 0)

    def _answer(self, command: Command, address: int, size: int) -> bytes:
        answer = self._stream.read(size + 1)
        if len(answer) == size + 1 and answer[-1] == Status.OK:
            return answer[:size]
        self._await_silence()
        what = f"{command.name} of {address:#010x}"
        if len(answer) not in (1, size + 1):
            raise BridgeError(what, None, f"{len(answer)} of {size + 1} bytes came")
        if answer[-1] == Status.OK or answer[-1] not in list(Status):
            raise BridgeError(what, None, f"the bridge answered {answer[-1]:#04x}")
        raise BridgeError(what, Status(answer[-1]), Status(answer[-1]).name)

    def _await_silence(self) -> None:
        """Until nothing has come for as long as a read waits: then the bridge waits for a request, too."""
        while self._stream.read(_MOST_BYTES):
            pass


def _pieces(address: int, size: int) -> Iterator[tuple[int, int]]:
    """First byte and size of each request."""
    if size % WORD_BYTES:
        raise ValueError(f"size must be a multiple of {WORD_BYTES} bytes, not {size!r}")
    for first in range(address, address + size, _MOST_BYTES):
        yield first, min(_MOST_BYTES, address + size - first)
