"""Cycles of a work on an array, by dataflow, in closed form."""

from enum import Enum

from . import row_stationary
from .array_size import ArraySize, folds
from .products import Count, Work


class Dataflow(Enum):
    """What stays in the elements of the array while the rest moves."""

    WEIGHT_STATIONARY = "WS"
    ROW_STATIONARY = "RS"
    INPUT_STATIONARY = "IS"
    OUTPUT_STATIONARY = "OS"

    @classmethod
    def _missing_(cls, value):
        raise ValueError(f"dataflow must be one of {', '.join(each.value for each in cls)}, not {value!r}")


def cycles(dataflow: Dataflow, work: Work, size: ArraySize) -> Count:
    """From the first operand that enters the array to the last result that leaves it; groups follow each other.

    With the contraction K, N filters and T vectors of a group, on R rows and C columns:

    =================  ==============================================  ==================================================
    dataflow           stays                                           cycles of a group
    =================  ==============================================  ==================================================
    weight stationary  kernels, K along the rows, N along the columns  ⌈K/R⌉⌈N/C⌉(2R + C + T − 2)
    input stationary   vectors, K along the rows, T along the columns  ⌈K/R⌉⌈T/C⌉(2R + C + N − 2)
    output stationary  sums, T along the rows, N along the columns     ⌈T/R⌉⌈N/C⌉(R + C + K − 2)
    row stationary     rows of kernels and inputs                      see :class:`~adagp.cost.row_stationary.RowMapping`
    =================  ==============================================  ==================================================

    The first three are those of SCALE-Sim: no fold begins before the one before it has ended, every fold takes
    the time of a whole array, and results leave an output-stationary array as they are ready. SCALE-Sim
    reports the number of the last cycle, counted from 0, which is one less.
    """
    contraction, filters, vectors = work.contraction, work.filters, work.vectors
    match dataflow:
        case Dataflow.WEIGHT_STATIONARY:
            return work.groups * _through(contraction, filters, vectors, size)
        case Dataflow.INPUT_STATIONARY:
            return work.groups * _through(contraction, vectors, filters, size)
        case Dataflow.OUTPUT_STATIONARY:
            return (work.groups * folds(vectors, size.rows) * folds(filters, size.columns)
                    * (size.rows + size.columns + contraction - 2))
        case Dataflow.ROW_STATIONARY:
            return row_stationary.cycles(work, size)
    raise ValueError(f"dataflow must be a Dataflow, not {dataflow!r}")


def _through(contraction: Count, stationary: Count, moving: Count, size: ArraySize) -> Count:
    """One operand is loaded, the other one moves through, and sums move down."""
    return (folds(contraction, size.rows) * folds(stationary, size.columns)
            * (2 * size.rows + size.columns + moving - 2))
