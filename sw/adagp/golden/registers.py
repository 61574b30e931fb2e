"""The register file of the golden machine: host side, counters and the choice of programs."""

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause
from adagp.spec.registers import REGISTERS
from adagp.spec.schedule import Phase

WORD = (1 << 32) - 1


class RegisterFile:
    """Values by register path. Knows what a register means, not what a program does."""

    def __init__(self, config: AcceleratorConfig):
        self.values = {path: sum(field.reset << field.lsb for field in register.fields)
                       for path, register in REGISTERS.items()}
        self.values["ARRAY"] = config.rows | config.columns << 8 | config.design << 16 | config.bus_bytes << 24
        self.values["MEMORIES"] = (_log2(config.stream_elements) | _log2(config.stationary_elements) << 8
                                   | _log2(config.vector_words) << 16 | config.vector_lanes << 24)
        self.counters = {path.removesuffix(".LO"): 0 for path in REGISTERS if path.endswith(".LO")}
        self._cycle_position = 0  # batches since the k:m cycle began

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
            self._cycle_position = 0

    def read(self, register: str) -> int:
        name, _, half = register.rpartition(".")
        if half in ("LO", "HI") and name in self.counters:
            return self.counters[name] >> (32 if half == "HI" else 0) & WORD
        if register not in REGISTERS:
            raise KeyError(f"register must be a path of the register map, not {register!r}")
        return self.values[register]

    def bases(self) -> list[int]:
        return [self.values[f"BASE[{index}]"] for index in range(8)]

    def window(self) -> tuple[int, int]:
        return self.values["WINDOW_FIRST"], self.values["WINDOW_LAST"]

    def phase(self) -> Phase:
        """The phase of the next batch."""
        if self.values["MODE"]:
            return Phase.EVALUATE
        if self.values["BATCH"] < self.values["WARMUP_BATCHES"]:
            return Phase.WARMUP
        return Phase.GP if self._cycle_position < self.values["GP_BATCHES"] else Phase.BP

    def complete_batch(self, phase: Phase) -> None:
        """Books a batch of ``phase`` and moves on to the next."""
        self.counters[f"PHASE_BATCHES[{int(phase)}]"] += 1
        for index in range(8):
            base = f"BASE[{index}]"
            self.values[base] = self.values[base] + self.values[f"STRIDE[{index}]"] & WORD
        if phase != Phase.EVALUATE:
            self.values["BATCH"] = self.values["BATCH"] + 1 & WORD
        if phase in (Phase.GP, Phase.BP):
            self._cycle_position += 1
            if self._cycle_position >= self.values["GP_BATCHES"] + self.values["BP_BATCHES"]:
                self._cycle_position = 0

    def reset(self) -> None:
        """Forgets a fault and the place in the k:m cycle; configuration and counters stay."""
        self._cycle_position = 0
        for register in ("STATUS", "INTERRUPT_PENDING", "FAULT_CAUSE", "FAULT_ADDRESS"):
            self.values[register] = 0

    def set_status(self, *, phase: Phase, cause: FaultCause = FaultCause.NONE, address: int = 0) -> None:
        """The machine has stopped: done without a cause, faulted with one."""
        fault = cause != FaultCause.NONE
        self.values["STATUS"] = (0b100 if fault else 0b010) | phase << 4
        self.values["INTERRUPT_PENDING"] |= 0b10 if fault else 0b01
        self.values["FAULT_CAUSE"], self.values["FAULT_ADDRESS"] = int(cause), address


def _log2(value: int) -> int:
    return value.bit_length() - 1
