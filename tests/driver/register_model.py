"""A software model of the machine's registers: what a host sees at their offsets."""

from adagp.golden import GoldenMachine
from adagp.spec.isa import FaultCause
from adagp.spec.machine import MachineFault
from adagp.spec.registers import REGISTERS, field

_PATHS = {register.offset: path for path, register in REGISTERS.items()}
_WRITABLE = {path for path, register in REGISTERS.items() if any("w" in each.software for each in register.fields)}
START, RESET, CLEAR, WRITE_BACK = (field("CONTROL", name).mask for name in (
    "start", "reset", "clear_counters", "write_back"))
BUSY, DRAINING, PHASE = (field("STATUS", name).mask for name in ("busy", "draining", "phase"))
NEVER = 1 << 62


class RegisterModel:
    """The registers of a golden machine by byte offset, as the RTL has them behind ``s_axil``.

    Time is counted in accesses: a run takes ``run_accesses`` and then happens at once, a reset that finds the
    machine running or faulted drains for ``drain_accesses``. ``NEVER`` is allowed for both. ``writes`` are all
    (offset, value) so far. ``counters`` replace those of the golden machine, which knows no cycles. The next
    run ends at once with the cause and the address of ``fault_next``, if there is one.
    """

    def __init__(self, golden: GoldenMachine, *, run_accesses: int = 4, drain_accesses: int = 4):
        self.golden, self.run_accesses, self.drain_accesses = golden, run_accesses, drain_accesses
        self.writes: list[tuple[int, int]] = []
        self.counters: dict[str, int] = {}
        self.fault_next: tuple[FaultCause, int] | None = None
        self._running = self._draining = 0
        self._kept = ("", 0)

    @property
    def irq(self) -> bool:
        return bool(self.golden.read("INTERRUPT_PENDING") & self.golden.read("INTERRUPT_ENABLE"))

    def read(self, offset: int) -> int:
        self._pass()
        path = _PATHS.get(offset, "")
        name, _, half = path.rpartition(".")
        if not path:
            return 0
        if path == "STATUS":
            return self._status()
        if half == "LO":
            value = self._counter(name)
            self._kept = (name, value >> 32)
            return value & 0xFFFFFFFF
        if half == "HI":
            return self._kept[1] if self._kept[0] == name else self._counter(name) >> 32
        return self.golden.read(path)

    def write(self, offset: int, value: int) -> None:
        self._pass()
        self.writes.append((offset, value))
        path = _PATHS.get(offset, "")
        if path == "CONTROL":
            self._control(value)
        elif path in _WRITABLE:
            self.golden.write(path, value)

    def _counter(self, name: str) -> int:
        return self.counters[name] if name in self.counters else self.golden.counter(name)

    def _status(self) -> int:
        status = self.golden.read("STATUS")
        if self._draining:
            return status & PHASE | BUSY | DRAINING
        return status & PHASE | BUSY if self._running else status

    def _control(self, value: int) -> None:
        busy = self._running or self._draining
        if value & RESET:
            self._running, self._draining = 0, self.drain_accesses
        elif value & START and not busy and not self.golden.read("STATUS") & field("STATUS", "fault").mask:
            self._running = self.run_accesses
        if value & CLEAR and not busy:
            self.golden.write("CONTROL", CLEAR)

    def _pass(self) -> None:
        """An access's worth of time."""
        if self._running:
            self._running -= 1
            if not self._running:
                self._run()
        if self._draining:
            self._draining -= 1
            if not self._draining:
                self.golden.write("CONTROL", RESET)

    def _run(self) -> None:
        if self.fault_next:
            (cause, address), self.fault_next = self.fault_next, None
            self.golden._registers.set_status(cause=cause, address=address)  # a bus error has no other way there
            return
        try:
            self.golden.run()
        except MachineFault:
            pass  # the registers say it
