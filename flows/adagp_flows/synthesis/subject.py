"""What is synthesised: an accelerator, or a part of it."""

from dataclasses import dataclass
from functools import cached_property

from adagp.spec.config import PRESETS, AcceleratorConfig

PARTS = ("machine", "array", "element")
"""All of it; the main systolic array; one processing element of it."""


@dataclass(frozen=True, kw_only=True)
class Verilog:
    """``top`` is a module of ``text`` with the clock input ``clock``."""

    text: str
    top: str
    clock: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """``part``, of :data:`PARTS`, of the accelerator of ``config``; ``name`` is that of its folder and of its entry in the
    report."""

    name: str
    config: AcceleratorConfig
    part: str = "machine"

    def __post_init__(self):
        if self.part not in PARTS:
            raise ValueError(f"Subject.part must be one of {', '.join(PARTS)}, not {self.part!r}")

    @cached_property
    def verilog(self) -> Verilog:
        from adagp_hdl.array.systolic import SystolicArray  # imports Amaranth
        from adagp_hdl.verilog import convert, generate

        if self.part == "machine":
            return Verilog(text=generate(self.config, name="adagp"), top="adagp", clock="aclk")
        rows, columns = (self.config.rows, self.config.columns) if self.part == "array" else (2, 2)
        text = convert(SystolicArray(rows=rows, columns=columns), name="adagp")
        return Verilog(text=text, top="adagp" if self.part == "array" else "adagp_processing_element", clock="clk")

    @property
    def elements(self) -> int:
        """Processing elements of all its arrays."""
        config = self.config
        both = self.part == "machine" and config.design.has_predictor_array
        return 1 if self.part == "element" else \
            config.rows * config.columns + both * config.predictor_rows * config.predictor_columns

    @property
    def memory_bits(self) -> int:
        """Of operand, vector and predictor memories."""
        config = self.config
        if self.part != "machine":
            return 0
        arrays = [config.array] + [config.predictor_array] * config.design.has_predictor_array
        operands = sum(array.stream_elements + array.stationary_elements for array in arrays)
        words = config.vector_elements + config.predictor_elements * config.design.has_predictor_memory
        return operands * config.operand.bits + words * config.accumulator.bits


def usual_name(config: AcceleratorConfig, part: str = "machine") -> str:
    """The design's, where the sizes are those of the preset ``vc707``; else the preset's or the array's size, and the
    design's; that of a part where it is one."""
    design = config.design.name.lower()
    preset = next((name for name, sizes in PRESETS.items() if sizes.with_design(config.design) == config), None)
    sizes = preset or f"{config.rows}x{config.columns}"
    if part == "element":
        return part
    if part == "array":
        return f"{config.rows}x{config.columns}-{part}"
    return design if preset == "vc707" else f"{sizes}-{design}"
