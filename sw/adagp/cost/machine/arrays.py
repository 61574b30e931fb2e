"""Time of ``Array`` instructions."""

from adagp.spec.config import AcceleratorConfig, ArrayShape

from . import latencies
from .banks import Banks
from .engine import Engine

_RETURN = latencies.ACCUMULATOR + 1
"""Cycles from one vector to the next that may add to the same word."""


class ArrayTime(Engine):
    """One of the arrays: weights of a tile load while the vectors of the tile before stream."""

    def __init__(self, config: AcceleratorConfig, shape: ArrayShape, banks: Banks):
        super().__init__()
        self._rows, self._latency, self._banks = shape.rows, latencies.array(shape.rows, shape.columns), banks
        self._loaded = -1  # the last row of weights
        self._began = -1  # the first vector of the last tile
        self._ended = -1  # its last vector
        self._accumulator = -1
        self.first = -1  # the first vector of the latest instruction

    def begin(self, i, offered: int) -> None:
        rows, vectors = self._rows, i.stream_count0 * i.stream_count1 * i.stream_count2
        chunks = -(-i.row_count0 * i.row_count1 * i.row_count2 // rows)
        outer = i.outer_count0 * i.outer_count1
        taken_by_loader = max(offered, self._loaded)
        first_row = max(taken_by_loader, self._began) + 1
        self.free = taken = max(taken_by_loader + 1, self._ended)
        first = max(taken + 1, first_row + rows - (vectors > 1))
        if i.accumulate and i.accumulator == self._accumulator:
            first = max(first, self._began + _RETURN)
        self.first = first

        moving = max(vectors, rows + (vectors == 1))  # cycles from tile to tile
        again = max(moving, _RETURN)  # where the words are the same
        by_outer0 = moving if i.accumulator_outer_stride0 else again
        by_outer1 = moving if i.accumulator_outer_stride1 else again
        begun = first + (outer * (chunks - 1) * again + i.outer_count1 * (i.outer_count0 - 1) * by_outer0
                         + (i.outer_count1 - 1) * by_outer1)
        before = again if chunks > 1 else by_outer0 if i.outer_count0 > 1 else by_outer1
        self._loaded = begun - before + rows if outer * chunks > 1 else first_row + rows - 1
        self._began, self._ended, self._accumulator = begun, begun + vectors - 1, i.accumulator
        done = self._ended + self._latency
        self.completed.append(done)
        self._use(i, first, begun, done, vectors, again if chunks > 1 else before)

    def _use(self, i, first: int, begun: int, done: int, vectors: int, period: int) -> None:
        """Notes the accesses to the vector memory."""
        written = first + self._latency, done + 1, period, vectors
        again = first if i.accumulate else first + period  # the first vector that may be added to something
        read = None
        if again <= begun:
            read = (again + self._latency - latencies.ACCUMULATOR, done + 1 - latencies.ACCUMULATOR, period, vectors)
        banks = self._banks.of(i.accumulator, vectors)
        for count, stride in ((i.outer_count0, i.accumulator_outer_stride0), (i.outer_count1, i.accumulator_outer_stride1)):
            if count > 1 and stride:
                banks |= self._banks.of(i.accumulator + (count - 1) * stride, vectors)
        self._banks.take(banks, reads=read, writes=written)
