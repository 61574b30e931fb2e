"""The configuration of one accelerator: the only thing that hardware, golden machine, compiler
and cost models need to agree on."""

from dataclasses import dataclass, replace
from enum import IntEnum

from .formats import BFLOAT16, FLOAT32, FloatFormat


class Design(IntEnum):
    """Where the predictor lives and runs (paper section 4.2)."""

    BASELINE = 0
    LOW = 1
    EFFICIENT = 2
    MAX = 3

    @property
    def has_predictor_memory(self) -> bool:
        return self in (Design.EFFICIENT, Design.MAX)

    @property
    def has_predictor_array(self) -> bool:
        return self is Design.MAX


@dataclass(frozen=True, kw_only=True)
class ArrayShape:
    """One of the machine's arrays with its operand memories."""

    rows: int
    columns: int
    stream_elements: int
    stationary_elements: int
    bus_operands: int

    @property
    def stream_lanes(self) -> int:
        """Operands that the stream memory reads or writes in one cycle."""
        return max(_power_of_two(self.rows), self.bus_operands)

    @property
    def stationary_lanes(self) -> int:
        """Operands that the stationary memory reads or writes in one cycle."""
        return max(_power_of_two(self.columns), self.bus_operands)


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """Shape of the array, sizes of the memories, widths of the buses.

    ``rows`` is the contraction side of the array, ``columns`` the output side. Sizes of memories
    are powers of two, so that addresses wrap without arithmetic. What begins with ``predictor`` is
    there only in the designs that have it: ``predictor_elements`` float32 values of predictor memory,
    and the predictor's array, which must not be larger than the main one, with its memories.
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
    predictor_elements: int = 32768
    predictor_rows: int = 2
    predictor_columns: int = 2
    predictor_stream_elements: int = 4096
    predictor_stationary_elements: int = 4096
    operand: FloatFormat = BFLOAT16
    accumulator: FloatFormat = FLOAT32

    def __post_init__(self):
        for name in ("rows", "columns"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= 128:
                raise ValueError(f"AcceleratorConfig.{name} must be an integer from 2 to 128, not {value!r}")
        for name, most in (("predictor_rows", self.rows), ("predictor_columns", self.columns)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= most:
                raise ValueError(f"AcceleratorConfig.{name} must be an integer from 2 to {most}, "
                                 f"as the main array, not {value!r}")
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
                ("read_buffer_beats", 2 * self.burst_beats, 4096),
                ("predictor_elements", 64, 1 << 26),
                ("predictor_stream_elements", 16 * self.predictor_array.stream_lanes, 1 << 20),
                ("predictor_stationary_elements", 16 * self.predictor_array.stationary_lanes, 1 << 20)):
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
    def array(self) -> ArrayShape:
        """The main array."""
        return ArrayShape(rows=self.rows, columns=self.columns, stream_elements=self.stream_elements,
                          stationary_elements=self.stationary_elements, bus_operands=self.bus_operands)

    @property
    def predictor_array(self) -> ArrayShape:
        """The predictor's array."""
        return ArrayShape(rows=self.predictor_rows, columns=self.predictor_columns,
                          stream_elements=self.predictor_stream_elements,
                          stationary_elements=self.predictor_stationary_elements, bus_operands=self.bus_operands)

    @property
    def stream_lanes(self) -> int:
        return self.array.stream_lanes

    @property
    def stationary_lanes(self) -> int:
        return self.array.stationary_lanes

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


_PAPER = AcceleratorConfig(rows=12, columns=15, vector_words=4096, predictor_rows=8,
                           predictor_columns=10, predictor_elements=1 << 22, predictor_stream_elements=8192,
                           predictor_stationary_elements=8192)

#: "paper" holds a predictor of 256 features and 4,608 outputs, the widest layer of the paper's networks on CIFAR, with
#: both moments of Adam: 134 Mbit, more than any 7-series device has. "vc707" is the same machine with the memory that
#: the XC7VX485T of that board has room for: a predictor of 36 features.
PRESETS = {
    "tiny": AcceleratorConfig(rows=4, columns=4, bus_bits=64, stream_elements=8192,
                              stationary_elements=8192, vector_words=1024, predictor_rows=2, predictor_columns=4),
    "small": AcceleratorConfig(rows=8, columns=8, vector_words=4096, vector_banks=8, predictor_rows=4,
                               predictor_columns=8),
    "paper": _PAPER,
    "vc707": replace(_PAPER, predictor_elements=1 << 19),
    "large": AcceleratorConfig(rows=16, columns=16, vector_words=4096, vector_banks=8, predictor_rows=8,
                               predictor_columns=16, predictor_elements=1 << 18, predictor_stream_elements=8192,
                               predictor_stationary_elements=8192),
}


def preset(name: str) -> AcceleratorConfig:
    """The named configuration of :data:`PRESETS`."""
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]
