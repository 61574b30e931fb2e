"""The configuration of one accelerator: the only thing that hardware, golden machine, compiler
and cost models need to agree on."""

from dataclasses import dataclass, replace
from enum import IntEnum

from .formats import BFLOAT16, FLOAT32, FloatFormat


class Design(IntEnum):
    """Where the predictor lives and runs (paper section 4.2)."""

    BASELINE = 0
    LOW = 1


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """Shape of the array, sizes of the memories, widths of the buses.

    ``rows`` is the contraction side of the array, ``columns`` the output side. Scratchpad sizes
    are powers of two, so that addresses wrap without arithmetic.
    """

    rows: int
    columns: int
    design: Design = Design.BASELINE
    bus_bits: int = 128
    stream_elements: int = 32768
    stationary_elements: int = 32768
    vector_words: int = 2048
    vector_banks: int = 4
    queue_depth: int = 16
    burst_beats: int = 16
    read_buffer_beats: int = 128
    operand: FloatFormat = BFLOAT16
    accumulator: FloatFormat = FLOAT32

    def __post_init__(self):
        for name in ("rows", "columns"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= 128:
                raise ValueError(f"AcceleratorConfig.{name} must be an integer from 2 to 128, not {value!r}")
        if not isinstance(self.design, Design):
            raise ValueError(f"AcceleratorConfig.design must be a Design, not {self.design!r}")
        if self.bus_bits not in (64, 128, 256, 512):
            raise ValueError(f"AcceleratorConfig.bus_bits must be 64, 128, 256 or 512, not {self.bus_bits!r}")
        for name, least, most in (
                ("stream_elements", 16 * self.stream_lanes, 1 << 20),
                ("stationary_elements", 16 * self.stationary_lanes, 1 << 20),
                ("vector_words", 64, min(1 << 16, (1 << 20) // self.vector_lanes)),
                ("vector_banks", 2, 16),
                ("queue_depth", 2, 64),
                ("burst_beats", 1, 256),
                ("read_buffer_beats", 2 * self.burst_beats, 4096)):
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most or value & (value - 1):
                raise ValueError(
                    f"AcceleratorConfig.{name} must be a power of two from {least} to {most}, not {value!r}")
        if self.burst_beats * self.bus_bits // 8 > 4096:
            raise ValueError(
                f"AcceleratorConfig.burst_beats times the bus width must be at most 4096 bytes, "
                f"not {self.burst_beats * self.bus_bits // 8}")
        if self.operand != BFLOAT16:
            raise ValueError(f"AcceleratorConfig.operand must be BFLOAT16, not {self.operand!r}")
        if self.accumulator != FLOAT32:
            raise ValueError(f"AcceleratorConfig.accumulator must be FLOAT32, not {self.accumulator!r}")

    @property
    def bus_bytes(self) -> int:
        return self.bus_bits // 8

    @property
    def bus_operands(self) -> int:
        """Operands in one beat of the bus; the most that a load writes per cycle."""
        return self.bus_bits // self.operand.bits

    @property
    def stream_lanes(self) -> int:
        """Operands that the stream memory reads or writes in one cycle."""
        return max(_power_of_two(self.rows), self.bus_operands)

    @property
    def stationary_lanes(self) -> int:
        """Operands that the stationary memory reads or writes in one cycle."""
        return max(_power_of_two(self.columns), self.bus_operands)

    @property
    def vector_lanes(self) -> int:
        """Accumulators in one word of the vector memory, and lanes of the vector unit."""
        return max(_power_of_two(self.columns), self.bus_operands)

    @property
    def vector_elements(self) -> int:
        return self.vector_words * self.vector_lanes

    def with_design(self, design: Design) -> "AcceleratorConfig":
        return replace(self, design=design)


def _power_of_two(value: int) -> int:
    """The smallest power of two that is not below ``value``."""
    return 1 << (value - 1).bit_length()


PRESETS = {
    "tiny": AcceleratorConfig(rows=4, columns=4, bus_bits=64, stream_elements=8192,
                              stationary_elements=8192, vector_words=1024),
    "small": AcceleratorConfig(rows=8, columns=8),
    "paper": AcceleratorConfig(rows=12, columns=15),
    "large": AcceleratorConfig(rows=16, columns=16),
}


def preset(name: str) -> AcceleratorConfig:
    """The named configuration of :data:`PRESETS`."""
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]
