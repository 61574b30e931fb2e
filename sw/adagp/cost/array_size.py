"""The extents of an array of processing elements."""

from dataclasses import dataclass

from .products import Count


@dataclass(frozen=True, kw_only=True)
class ArraySize:
    """``rows`` × ``columns`` elements, at least 1 of each; each does one multiply-accumulate in a cycle."""

    rows: int
    columns: int

    def __post_init__(self):
        for name in ("rows", "columns"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"ArraySize.{name} must be an integer of at least 1, not {value!r}")

    @property
    def elements(self) -> int:
        return self.rows * self.columns

    def __str__(self) -> str:
        return f"{self.rows}×{self.columns}"


PAPER_ARRAY = ArraySize(rows=12, columns=15)
PAPER_PREDICTOR_ARRAY = ArraySize(rows=8, columns=10)


def folds(total: Count, most: Count) -> Count:
    """How many parts of at most ``most`` make ``total``."""
    return -(-total // most)
