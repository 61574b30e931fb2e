"""Bytes that a work moves at each level of the memory hierarchy, by dataflow, in closed form."""

from dataclasses import dataclass, fields

import numpy as np

from .array_size import ArraySize, folds
from .dataflows import Dataflow
from .products import Count, Work
from .row_stationary import RowMapping

OPERAND_BYTES = 2
SUM_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Multiply-accumulates, and bytes at each level.

    - registers: what stays in an element; read and written there.
    - array: what arrives at an element, over the array's network or from a neighbour.
    - buffer: the memory beside the array.
    - external: the memory outside.

    An operand has 2 bytes, a partial sum 4.
    """

    multiply_accumulates: Count = 0
    register_reads: Count = 0
    register_writes: Count = 0
    array: Count = 0
    buffer_reads: Count = 0
    buffer_writes: Count = 0
    external_reads: Count = 0
    external_writes: Count = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(**{name: value + getattr(other, name) for name, value in self.items()})

    def __mul__(self, factor: float) -> "Traffic":
        return Traffic(**{name: value * factor for name, value in self.items()})

    def total(self) -> "Traffic":
        """The sums over arrays."""
        return Traffic(**{name: int(np.sum(value)) for name, value in self.items()})

    def items(self) -> list[tuple[str, Count]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]
