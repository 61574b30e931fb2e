"""Sums and maxima over the rows or the columns of panels."""

from adagp.spec.isa import Function

from .emitter import Emitter
from .functions import fold
from .panels import Panel


def fold_rows(e: Emitter, target: int, panel: Panel, temporary: int, accumulate: bool = False) -> None:
    """target[c] = sum over the rows of block c; added to what is there with ``accumulate``.

    ``temporary`` has room for the panel, or is the panel's own word if that may be lost.
    """
    if panel.block_stride == 1:
        fold(e, target, panel.word, panel.rows, panel.blocks, temporary, accumulate=accumulate)
        return
    for block in range(panel.blocks):
        fold(e, target + block, panel.word + block * panel.rows, panel.rows, 1,
             temporary + block * panel.rows, accumulate=accumulate)


def reduce_rows(e: Emitter, target: int, panel: Panel, temporary: int, identity: int,
                function: Function = Function.ARITHMETIC) -> None:
    """target[r] = sum (or MAXIMUM) over the columns of row r, in all lanes.

    ``identity`` is a word of zeros (or −∞) in all lanes. ``temporary`` has room for the panel, or is
    the panel's own word if that may be lost.
    """
    full, tail = divmod(panel.columns, panel.lanes)
    rows, stride = panel.rows, panel.row_stride
    start, start_stride = identity, 0

    def add_lanes(word: int, lanes: int) -> None:
        nonlocal start, start_stride
        for lane in range(lanes):
            e.vector(target, start, ((rows, 1, start_stride, stride),), b=word, plus="b", function=function,
                     broadcast=True, lane=lane)
            start, start_stride = target, 1

    if full:
        add_lanes(_fold_blocks(e, panel, full, temporary, function), panel.lanes)
    if tail:
        add_lanes(panel.word + full * panel.block_stride, tail)


def _fold_blocks(e: Emitter, panel: Panel, blocks: int, temporary: int, function: Function) -> int:
    """Combines the first ``blocks`` words of each row by halving; where the results lie, with the
    row stride of the panel."""
    source, row, block = panel.word, panel.row_stride, panel.block_stride

    def combine(a: int, b: int, count: int) -> None:
        e.vector(temporary, a, ((count, block, block, block), (panel.rows, row, row, row)), b=b, plus="b",
                 function=function)
    while blocks > 1:
        half = blocks // 2
        combine(source, source + half * block, half)
        if blocks % 2:
            combine(temporary, source + (blocks - 1) * block, 1)
        source, blocks = temporary, half
    return source
