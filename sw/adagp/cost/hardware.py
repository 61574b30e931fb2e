"""The accelerator that costs are of."""

from dataclasses import dataclass

from adagp.spec.config import AcceleratorConfig

from .array_size import PAPER_ARRAY, PAPER_PREDICTOR_ARRAY, ArraySize


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """An accelerator, by default the paper's: 180 elements, beside them 80 for the predictor on design MAX, a bus
    of 128 bits. ``buffer_bytes`` None is a buffer that holds any layer."""

    array: ArraySize = PAPER_ARRAY
    predictor_array: ArraySize = PAPER_PREDICTOR_ARRAY
    bus_bytes: int = 16
    buffer_bytes: int | None = None

    def __post_init__(self):
        for name in ("bus_bytes", "buffer_bytes"):
            value = getattr(self, name)
            if name == "buffer_bytes" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"Hardware.{name} must be an integer of at least 1, not {value!r}")

    @classmethod
    def of(cls, config: AcceleratorConfig) -> "Hardware":
        """Arrays and bus of ``config``, with a buffer that holds any layer."""
        return cls(array=ArraySize(rows=config.rows, columns=config.columns), bus_bytes=config.bus_bytes,
                   predictor_array=ArraySize(rows=config.predictor_rows, columns=config.predictor_columns))


PAPER = Hardware()
