"""Which program the phase controller chooses for a batch (paper section 3.5)."""

from dataclasses import dataclass
from enum import IntEnum


class Phase(IntEnum):
    """Index of a program in the PROGRAM registers and of a phase in the counters."""

    WARMUP = 0
    BP = 1
    GP = 2
    EVALUATE = 3


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Warm-up batches, then cycles of ``gp`` predicted batches followed by ``bp`` true ones."""

    warmup: int
    gp: int = 0
    bp: int = 1

    def __post_init__(self):
        for name, least in (("warmup", 0), ("gp", 0), ("bp", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value < 1 << 32:
                raise ValueError(f"Schedule.{name} must be an integer from {least} to 2**32 - 1, not {value!r}")
        if self.gp + self.bp == 0:
            raise ValueError("Schedule.gp and Schedule.bp must not both be 0")

    def phase(self, batch: int) -> Phase:
        """The phase of batch number ``batch``, counted from 0 at the start of training."""
        if batch < self.warmup:
            return Phase.WARMUP
        return Phase.GP if (batch - self.warmup) % (self.gp + self.bp) < self.gp else Phase.BP
