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


def accesses(dataflow: Dataflow, work: Work, size: ArraySize) -> Traffic:
    """What a work moves inside of the accelerator.

    Weight stationary: kernels are read from the buffer once and shifted down to their row; every vector is
    read once for each fold of the filters and moves along the row; sums move down, and go to the buffer and come back
    from it between the folds of the contraction. Input stationary is the same with kernels and vectors
    exchanged. Output stationary: operands move along rows and down columns and are read once for each fold of
    the other's side; sums stay. Row stationary, for the mapping of RowMapping: a pass reads each kernel row and each
    input row once for all elements that need it; kernel rows stay for all images; sums move up from element to
    element, and through the buffer between passes.
    """
    macs = work.multiply_accumulates
    match dataflow:
        case Dataflow.WEIGHT_STATIONARY:
            return _through(work, size, stationary=work.filters, moving=work.vectors)
        case Dataflow.INPUT_STATIONARY:
            return _through(work, size, stationary=work.vectors, moving=work.filters)
        case Dataflow.OUTPUT_STATIONARY:
            streamed = work.groups * work.contraction * (
                work.vectors * folds(work.filters, size.columns) + work.filters * folds(work.vectors, size.rows))
            return Traffic(
                multiply_accumulates=macs, register_reads=macs * SUM_BYTES, register_writes=macs * SUM_BYTES,
                array=2 * macs * OPERAND_BYTES, buffer_reads=streamed * OPERAND_BYTES,
                buffer_writes=work.result * SUM_BYTES)
        case Dataflow.ROW_STATIONARY:
            return _row_stationary(work, size)
    raise ValueError(f"dataflow must be a Dataflow, not {dataflow!r}")


def _through(work: Work, size: ArraySize, *, stationary: Count, moving: Count) -> Traffic:
    macs, contraction, result = work.multiply_accumulates, work.contraction, work.result
    sum_folds = folds(contraction, size.rows)
    last = contraction - (sum_folds - 1) * size.rows
    shifts = ((sum_folds - 1) * size.rows * (size.rows + 1) + last * (last + 1)) // 2 * stationary * work.groups
    kept = work.groups * contraction * stationary
    streamed = work.groups * contraction * moving * folds(stationary, size.columns)
    return Traffic(
        multiply_accumulates=macs,
        register_reads=macs * OPERAND_BYTES, register_writes=kept * OPERAND_BYTES,
        array=(shifts + macs) * OPERAND_BYTES + result * (contraction - 1) * SUM_BYTES,
        buffer_reads=(kept + streamed) * OPERAND_BYTES + result * (sum_folds - 1) * SUM_BYTES,
        buffer_writes=result * sum_folds * SUM_BYTES)


def _row_stationary(work: Work, size: ArraySize) -> Traffic:
    mapping, macs = RowMapping.of(work, size), work.multiply_accumulates
    row = _seen(work.columns, work.kernel_columns, work.column_step, work.column_dilation)
    kernel_arrivals = work.matrix * work.rows * mapping.images_beside
    row_arrivals = macs // (work.columns * work.kernel_columns) * row
    kernels_read = work.matrix * mapping.strips
    rows_read = (work.groups * work.images * work.channels * mapping.filter_folds * row
                 * _rows_seen(work, mapping))
    return Traffic(
        multiply_accumulates=macs,
        register_reads=macs * (2 * OPERAND_BYTES + SUM_BYTES),
        register_writes=(kernel_arrivals + row_arrivals) * OPERAND_BYTES + macs * SUM_BYTES,
        array=(kernel_arrivals + row_arrivals) * OPERAND_BYTES
        + work.result * (work.channels * work.kernel_rows - 1) * SUM_BYTES,
        buffer_reads=(kernels_read + rows_read) * OPERAND_BYTES + work.result * (mapping.sum_folds - 1) * SUM_BYTES,
        buffer_writes=work.result * mapping.sum_folds * SUM_BYTES)


def _seen(windows: Count, taps: Count, step: Count, dilation: Count) -> Count:
    """Different positions that ``windows`` a ``step`` apart see through ``taps`` a ``dilation`` apart, one of
    which is 1."""
    return np.minimum(windows * taps, (windows - 1) * step + (taps - 1) * dilation + 1)


def _rows_seen(work: Work, mapping: RowMapping) -> Count:
    """Input rows that the passes of all strips and kernel folds see of one plane."""
    last_strip = work.rows - (mapping.strips - 1) * mapping.set_columns
    last_kernel = work.kernel_rows - (mapping.kernel_folds - 1) * mapping.set_rows
    return sum(
        strips * kernel_folds * _seen(rows, kernel_rows, work.row_step, work.row_dilation)
        for strips, rows in ((mapping.strips - 1, mapping.set_columns), (1, last_strip))
        for kernel_folds, kernel_rows in ((mapping.kernel_folds - 1, mapping.set_rows), (1, last_kernel)))


def external(dataflow: Dataflow, work: Work, size: ArraySize, *, buffer_bytes: int | None = None,
             result_bytes: int = OPERAND_BYTES) -> Traffic:
    """What a work moves to and from external memory, where an element of the result has ``result_bytes``.

    If the tensors of the pass fit into the buffer of ``buffer_bytes``, each is moved once; None, the paper's
    assumption, is a buffer that holds any layer. If they do not, each is moved as often as the folds of the dataflow
    ask for it, partial sums too.
    """
    if buffer_bytes is not None and (not isinstance(buffer_bytes, int) or buffer_bytes < 1):
        raise ValueError(f"buffer_bytes must be an integer of at least 1 or None, not {buffer_bytes!r}")
    once = (work.part == 0) * work.source
    reads, writes = (once + work.matrix) * OPERAND_BYTES, work.result * result_bytes
    if buffer_bytes is None:
        return Traffic(external_reads=reads, external_writes=writes)
    sources, matrices, sums = _refetches(dataflow, work, size)
    fits = work.footprint * OPERAND_BYTES <= buffer_bytes
    again = (work.source * sources + work.matrix * matrices) * OPERAND_BYTES + work.result * (sums - 1) * SUM_BYTES
    spilt = work.result * ((sums - 1) * SUM_BYTES + result_bytes)
    return Traffic(external_reads=np.where(fits, reads, again), external_writes=np.where(fits, writes, spilt))


def _refetches(dataflow: Dataflow, work: Work, size: ArraySize) -> tuple[Count, Count, Count]:
    """How often the folds ask for the source, the kernels and the sums."""
    match dataflow:
        case Dataflow.WEIGHT_STATIONARY:
            return folds(work.filters, size.columns), 1, folds(work.contraction, size.rows)
        case Dataflow.INPUT_STATIONARY:
            return 1, folds(work.vectors, size.columns), folds(work.contraction, size.rows)
        case Dataflow.OUTPUT_STATIONARY:
            return folds(work.filters, size.columns), folds(work.vectors, size.rows), 1
    mapping = RowMapping.of(work, size)
    return mapping.filter_folds, mapping.strips, mapping.sum_folds
