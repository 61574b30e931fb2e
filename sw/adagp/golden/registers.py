"""The register file of the golden machine: host side, counters and the choice of programs."""

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.identity import identity
from adagp.spec.isa import FaultCause
from adagp.spec.registers import REGISTERS, field
from adagp.spec.schedule import Phase, PhaseCounter

WORD = (1 << 32) - 1
LAYERS = 256
QUALITIES = 128


class RegisterFile:
    """Values by register path. Knows what a register means, not what a program does."""

    def __init__(self, config: AcceleratorConfig, quality: np.ndarray):
        self.quality = quality
        self.values = {path: sum(field.reset << field.lsb for field in register.fields)
                       for path, register in REGISTERS.items()}
        self.values |= identity(config)
        self.running = Phase.WARMUP
        self.layer_macs = [0] * LAYERS
        self.counters = {path.removesuffix(".LO"): 0 for path in REGISTERS if path.endswith(".LO")}
        self._schedule = PhaseCounter(self.read)

    def write(self, register: str, value: int) -> None:
        """A host's write; raises for names, values and accesses that the register map lacks."""
        if register not in REGISTERS:
            raise KeyError(f"register must be a path of the register map, not {register!r}")
        if not 0 <= value <= WORD:
            raise ValueError(f"{register} must be from 0 to {WORD:#x}, not {value!r}")
        fields = REGISTERS[register].fields
        if not any("w" in field.software for field in fields):
            raise ValueError(f"register must be writable, not {register}")
        if register == "INTERRUPT_PENDING":
            value = self.values[register] & ~value
        self.values[register] = value & sum(field.mask for field in fields)
        if register == "BATCH":
            self._schedule = PhaseCounter(self.read)

    def read(self, register: str) -> int:
        name, _, half = register.rpartition(".")
        if half in ("LO", "HI") and name in self.counters:
            return self.counter(name) >> (32 if half == "HI" else 0) & WORD
        if register not in REGISTERS:
            raise KeyError(f"register must be a path of the register map, not {register!r}")
        if register.startswith("QUALITY"):
            return int(self.quality[int(register[8:-1])])
        if register == "PREDICTOR":
            return self.values[register] | min(self._schedule.gp, 0xFF) << 24
        return self.values[register]

    def counter(self, name: str) -> int:
        if name == "LAYER_MACS":
            return self.layer_macs[self.values["LAYER"]]
        if name not in self.counters:
            raise KeyError(f"counter must be one of {', '.join(self.counters)}, not {name!r}")
        return self.counters[name]

    def clear_counters(self) -> None:
        self.counters = dict.fromkeys(self.counters, 0)
        self.layer_macs = [0] * LAYERS

    def bases(self) -> list[int]:
        return [self.values[f"BASE[{index}]"] for index in range(8)]

    def window(self) -> tuple[int, int]:
        return self.values["WINDOW_FIRST"], self.values["WINDOW_LAST"]

    def phase(self) -> Phase:
        """The phase of the next batch."""
        if self.values["MODE"] & field("MODE", "evaluate").mask:
            return Phase.EVALUATE
        return self._schedule.choose(self.values["BATCH"])

    def complete_batch(self, phase: Phase) -> None:
        """Books a batch of ``phase`` and moves on to the next."""
        self.counters[f"PHASE_BATCHES[{int(phase)}]"] += 1
        step = "REWIND" if self._next_in_epoch() else "STRIDE"
        for index in range(8):
            base = f"BASE[{index}]"
            self.values[base] = self.values[base] + self.values[f"{step}[{index}]"] & WORD
        if phase != Phase.EVALUATE:
            self.values["BATCH"] = self.values["BATCH"] + 1 & WORD
        self._schedule.complete(phase)

    def _next_in_epoch(self) -> bool:
        """Moves ORDER on; whether it went past the end of the epoch."""
        epoch = self.values["EPOCH_BATCHES"]
        if not epoch:
            return False
        place = self.values["ORDER"] + self.values["ORDER_STEP"]
        self.values["ORDER"] = (place - epoch if place >= epoch else place) & WORD
        return place >= epoch

    def reset(self) -> None:
        """Forgets a fault and the place in the schedule; configuration, counters and reports stay."""
        self._schedule, self.running = PhaseCounter(self.read), Phase.WARMUP
        for register in ("STATUS", "INTERRUPT_PENDING", "FAULT_CAUSE", "FAULT_ADDRESS"):
            self.values[register] = 0

    def set_status(self, *, cause: FaultCause = FaultCause.NONE, address: int = 0) -> None:
        """The machine has stopped: done without a cause, faulted with one."""
        fault = cause != FaultCause.NONE
        self.values["STATUS"] = (0b100 if fault else 0b010) | self.running << 4
        self.values["INTERRUPT_PENDING"] |= 0b10 if fault else 0b01
        self.values["FAULT_CAUSE"], self.values["FAULT_ADDRESS"] = int(cause), address
