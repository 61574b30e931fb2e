"""The verilated top as a Python object: clock, registers by address, external memory, interrupt."""

import ctypes
from functools import cache
from pathlib import Path

import numpy as np

DRIVER = Path(__file__).with_name("driver.cpp")
_CHUNK = 1 << 16  # cycles between two looks at Python's signals
_REGISTER_CYCLES = 100_000
_NEVER = (1 << 64) - 1


class BusViolation(AssertionError):
    """The machine broke a rule of AXI or left its memory; the text names cycle, channel and rule."""


class _Options(ctypes.Structure):
    _fields_ = [("memory_bytes", ctypes.c_uint64), ("seed", ctypes.c_uint64), ("stall", ctypes.c_double),
                ("latency", ctypes.c_uint32), ("interval", ctypes.c_uint32),
                ("outstanding", ctypes.c_uint32), ("interleave", ctypes.c_uint32)]


class Simulation:
    """A shared library of :func:`adagp_tb.verilator.build` with ``driver.cpp``, out of reset.

    ``memory`` is the external memory, a uint8 array of ``memory_bytes`` from address 0, initially
    zero, writable in place. A read burst answers ``latency`` cycles after its address was accepted
    with at most one beat every ``interval`` cycles, in order per id; up to ``outstanding`` bursts
    are accepted ahead in each direction, and with ``interleave`` beats of different ids mix.
    Writes take a beat every ``interval`` cycles and reach the memory with their response,
    ``latency`` cycles after the last beat. Each channel of both buses idles a cycle with
    ``stall_probability``. ``trace`` is the VCD file of a library that was built with trace.

    Every call raises :class:`BusViolation` when the machine broke a rule of the bus.
    """

    def __init__(self, library: Path, memory_bytes: int, *, latency: int = 30, interval: int = 1,
                 stall_probability: float = 0.0, seed: int = 0, outstanding: int = 16,
                 interleave: bool = False, trace: Path | None = None):
        for name, value, least in (("memory_bytes", memory_bytes, 1), ("latency", latency, 0),
                                   ("interval", interval, 1), ("outstanding", outstanding, 1)):
            if value < least:
                raise ValueError(f"Simulation.{name} must be at least {least}, not {value!r}")
        if not 0 <= stall_probability < 1:
            raise ValueError(f"Simulation.stall_probability must be in [0, 1), not {stall_probability!r}")
        self._buffer = np.zeros(-(-memory_bytes // 64) * 64, np.uint8)
        self.memory = self._buffer[:memory_bytes]
        self._library = _load(library)
        options = _Options(memory_bytes, seed, stall_probability, latency, interval, outstanding, interleave)
        self._machine = self._library.machine_create(
            self._buffer.ctypes.data, ctypes.byref(options), None if trace is None else str(trace).encode())
        self.watched: tuple[str, ...] = ()
        self._check()

    def __del__(self):
        if getattr(self, "_machine", None):
            self.close()

    def close(self) -> None:
        """Ends the simulation and completes its trace; only ``memory`` may be used afterwards."""
        self._library.machine_destroy(self._machine)
        self._machine = None

    def reset(self, cycles: int = 4) -> None:
        """Holds ``aresetn`` low for ``cycles``. The bus forgets what was outstanding."""
        self._library.machine_reset(self._machine, cycles)
        self._check()

    def write(self, address: int, value: int) -> int:
        """Writes 32 bits over ``s_axil``; the response (0: OKAY)."""
        response = self._library.machine_write(self._machine, address, value, _REGISTER_CYCLES)
        return self._register_response(response, address)

    def read(self, address: int) -> tuple[int, int]:
        """Reads 32 bits over ``s_axil``; response and value."""
        value = ctypes.c_uint32()
        response = self._library.machine_read(self._machine, address, ctypes.byref(value), _REGISTER_CYCLES)
        return self._register_response(response, address), value.value

    def run(self, max_cycles: int) -> None:
        """Clocks until ``irq`` is high; TimeoutError after ``max_cycles``."""
        if not self.clock(max_cycles):
            raise TimeoutError(f"no interrupt within {max_cycles} cycles (now at cycle {self.cycles})")

    def clock(self, cycles: int) -> bool:
        """Clocks until ``irq`` is high, for at most ``cycles``; whether it is."""
        for start in range(0, cycles, _CHUNK):
            raised = self._library.machine_run(self._machine, min(_CHUNK, cycles - start))
            self._check()
            if raised:
                return True
        return False

    def inject(self, *, read_error: int | None = None, write_error: int | None = None) -> None:
        """From now on a beat read at, or a burst written over, the given byte address answers SLVERR.

        A write that fails leaves the memory as it was. ``None`` takes the error away.
        """
        self._library.machine_inject(self._machine, _NEVER if read_error is None else read_error,
                                     _NEVER if write_error is None else write_error)

    @property
    def signals(self) -> frozenset[str]:
        """What :meth:`watch` can watch: paths of signals from the top module on, joined by dots."""
        text = ctypes.create_string_buffer(self._library.machine_signals(self._machine, None))
        self._library.machine_signals(self._machine, text)
        return frozenset(text.raw.decode().splitlines())

    def watch(self, *signals: str) -> None:
        """Keeps the changes of ``signals`` from the next cycle on, and forgets what was watched before.

        ValueError for a signal that the library does not show: its control file must mark it
        (``public_flat_rd``), and it has at most 64 bits.
        """
        self._library.machine_unwatch(self._machine)
        self.watched = ()
        for signal in signals:
            scope, _, name = signal.rpartition(".")
            if not self._library.machine_watch(self._machine, scope.encode(), name.encode()):
                raise ValueError(f"signals must be among {', '.join(sorted(self.signals)) or '(none)'}, not {signal!r}")
        self.watched = signals

    def changes(self, signal: str) -> np.ndarray:
        """(changes, 2), uint64, of a watched signal: the cycle and the value from that cycle on.

        The first row is that of the first cycle after :meth:`watch`.
        """
        index = self.watched.index(signal)
        count = self._library.machine_changes(self._machine, index, None)
        changes = np.empty((count, 2), np.uint64)
        self._library.machine_changes(self._machine, index, changes.ctypes.data)
        return changes

    def count_toggles(self) -> None:
        """Counts the changes of every bit of every signal from the next cycle on.

        For a library that was built with trace, and once; RuntimeError otherwise.
        """
        if not self._library.machine_count(self._machine):
            raise RuntimeError("toggles are counted once, in a library built with trace, without a VCD file")

    def toggles(self) -> dict[str, np.ndarray]:
        """(bits, 2), uint64, by the path of a signal from the top module on: for each bit from the lowest one
        up, in how many cycles it began to differ and in how many it was 1. A cycle's value is that at its
        end. Memories are not among the signals."""
        count = self._library.machine_toggles(self._machine, None)
        bits = np.empty((count // 2, 2), np.uint64)
        self._library.machine_toggles(self._machine, bits.ctypes.data)
        text = ctypes.create_string_buffer(self._library.machine_toggle_names(self._machine, None))
        self._library.machine_toggle_names(self._machine, text)
        lines = (line.rsplit(" ", 2) for line in text.raw.decode().splitlines())
        return {name: bits[int(first):int(first) + int(width)] for name, first, width in lines}

    @property
    def cycles(self) -> int:
        """Cycles since the beginning, resets included."""
        return self._library.machine_cycles(self._machine)

    @property
    def bytes_read(self) -> int:
        """Bytes of all beats read over ``m_axi``."""
        return self._library.machine_bytes_read(self._machine)

    @property
    def bytes_written(self) -> int:
        """Bytes written over ``m_axi`` with their strobe set."""
        return self._library.machine_bytes_written(self._machine)

    @property
    def outstanding(self) -> int:
        """Bursts on ``m_axi`` that wait for an answer."""
        return self._library.machine_outstanding(self._machine)

    def _register_response(self, response: int, address: int) -> int:
        self._check()
        if response < 0:
            raise TimeoutError(f"no answer on s_axil at {address:#05x} within {_REGISTER_CYCLES} cycles")
        return response

    def _check(self) -> None:
        if violation := self._library.machine_violation(self._machine):
            raise BusViolation(violation.decode())


@cache
def _load(library: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(library))
    machine, u32, u64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    for name, result, arguments in (
            ("create", machine, [machine, ctypes.POINTER(_Options), ctypes.c_char_p]),
            ("destroy", None, []), ("reset", None, [u32]),
            ("write", ctypes.c_int, [u32, u32, u32]),
            ("read", ctypes.c_int, [u32, ctypes.POINTER(u32), u32]),
            ("run", ctypes.c_bool, [u64]), ("inject", None, [u64, u64]),
            ("count", ctypes.c_bool, []), ("toggles", u64, [ctypes.c_void_p]), ("toggle_names", u64, [ctypes.c_char_p]),
            ("cycles", u64, []), ("bytes_read", u64, []), ("bytes_written", u64, []),
            ("outstanding", u32, []), ("violation", ctypes.c_char_p, []), ("unwatch", None, []),
            ("watch", ctypes.c_bool, [ctypes.c_char_p, ctypes.c_char_p]), ("signals", u64, [ctypes.c_char_p]),
            ("changes", u64, [u32, ctypes.c_void_p])):
        function = getattr(loaded, f"machine_{name}")
        function.restype = result
        function.argtypes = arguments if name == "create" else [machine, *arguments]
    return loaded
