"""When which parts of the memories are ready: ranges that instructions touch, and time stamps on them."""

from bisect import bisect_right
from collections.abc import Iterable

import numpy as np

from adagp.compiler.tensors import Layout, Tensor
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Array, Fill, Format, Load, Memory, Store, Vector

Range = tuple[int, int]
"""[first, beyond)"""

_ROWS, _COLUMN_BYTES = 256, 32
"""Most stamps down a tensor, and bytes of a row that share one."""


def extent(address: int, length: int, loops: Iterable[tuple[int, int]]) -> Range:
    """All that runs of ``length`` touch which begin at ``address`` plus multiples of (count, stride) pairs."""
    low, high = address, address + length
    for count, stride in loops:
        if stride > 0:
            high += (count - 1) * stride
        else:
            low += (count - 1) * stride
    return low, high


def counts(i) -> tuple[int, int, int]:
    return i.count0, i.count1, i.count2


def written_on_chip(i: Load | Fill, lanes: int) -> Range:
    """Elements of an operand memory, or words of the vector memory."""
    strides = i.destination_stride0, i.destination_stride1, i.destination_stride2
    if type(i) is Load and i.transpose:
        return extent(i.destination, i.count0, zip((i.length, i.count1, i.count2), strides))
    low, high = extent(i.destination, i.length, zip(counts(i), strides))
    return (low // lanes, -(-high // lanes)) if i.memory == Memory.VECTOR else (low, high)


def read_by_store(i: Store, lanes: int) -> Range:
    """Words of the vector memory."""
    low, high = extent(i.source, i.length, zip(counts(i), (i.source_stride0, i.source_stride1, i.source_stride2)))
    return low // lanes, -(-high // lanes)


def words(i: Vector, operand: str) -> Range:
    """Of the vector memory."""
    if operand == "a":
        return extent(i.a, 1, zip(counts(i), (i.a_stride0, i.a_stride1, i.a_stride2)))
    if operand == "b":
        return extent(i.b, 1, zip(counts(i), (i.b_stride0, i.b_stride1, i.b_stride2)))
    return extent(i.d, 1, zip(counts(i), (i.d_stride0, i.d_stride1, i.d_stride2)))


def operands(i: Array, rows: int) -> tuple[Range, Range, Range]:
    """Of the stream memory, of the stationary memory, and words of the accumulators."""
    contraction = i.row_count0 * i.row_count1 * i.row_count2
    outer = i.outer_count0, i.outer_count1
    return (extent(i.stream, min(rows, contraction), (
                (i.stream_count0, i.stream_stride0), (i.stream_count1, i.stream_stride1), (i.stream_count2, i.stream_stride2),
                (-(-contraction // rows), i.chunk_stride),
                (outer[0], i.stream_outer_stride0), (outer[1], i.stream_outer_stride1))),
            extent(i.stationary, i.columns, (
                (i.row_count0, i.row_stride0), (i.row_count1, i.row_stride1), (i.row_count2, i.row_stride2),
                (outer[0], i.stationary_outer_stride0), (outer[1], i.stationary_outer_stride1))),
            extent(i.accumulator, i.stream_count0 * i.stream_count1 * i.stream_count2,
                   ((outer[0], i.accumulator_outer_stride0), (outer[1], i.accumulator_outer_stride1))))


class OperandMemory:
    """Written by loads, read by an array."""

    def __init__(self, elements: int):
        self.written, self.read = np.zeros(elements), np.zeros(elements)


class VectorMemory:
    """Words, and for each kind of access when the latest is done."""

    _STORE, _READ, _COMPUTED, _LOADED, _SUMMED = range(5)

    def __init__(self, config: AcceleratorConfig):
        self._stamps = np.zeros((5, config.vector_words))

    def readable_by_vector(self, place: Range) -> float:
        return self._latest(self._LOADED, 5, place)

    def writable_by_vector(self, place: Range) -> float:
        return max(self._latest(self._LOADED, 5, place), self._latest(0, 1, place))

    def writable_by_load(self, place: Range) -> float:
        return self._latest(0, 5, place)

    def writable_by_array(self, place: Range) -> float:
        return self._latest(0, self._SUMMED, place)

    def readable_by_store(self, place: Range) -> float:
        return self._latest(self._COMPUTED, 5, place)

    def _latest(self, first: int, beyond: int, place: Range) -> float:
        return self._stamps[first:beyond, place[0]:place[1]].max(initial=0.0)

    def stored(self, place: Range, cycle: float) -> None:
        self._stamps[self._STORE, place[0]:place[1]] = cycle

    def read(self, place: Range, cycle: float) -> None:
        self._stamps[self._READ, place[0]:place[1]] = cycle

    def computed(self, place: Range, cycle: float) -> None:
        self._stamps[self._COMPUTED, place[0]:place[1]] = cycle

    def loaded(self, place: Range, cycle: float) -> None:
        self._stamps[self._LOADED, place[0]:place[1]] = cycle

    def summed(self, place: Range, cycle: float) -> None:
        self._stamps[self._SUMMED, place[0]:place[1]] = cycle


class TensorStamps:
    """When the parts of a tensor outside the scratchpads are written: blocks of rows of its last dimension, in
    blocks of columns."""

    def __init__(self, tensor: Tensor):
        self.name = tensor.name
        self._offset, self._pitch = tensor.offset, tensor.shape[-1] * tensor.format.bytes
        rows = tensor.elements // tensor.shape[-1]
        self._rows = -(-rows // _ROWS)
        self._stamps = np.zeros((-(-rows // self._rows), -(-self._pitch // _COLUMN_BYTES)))

    def part(self, offset: int, length: int, loops: list[tuple[int, int]]) -> np.ndarray:
        """The stamps of what (count, stride) ``loops`` around runs of ``length`` bytes touch."""
        pitch, start = self._pitch, offset - self._offset
        low, high = extent(start, length, loops)
        first, beyond = 0, pitch
        if start % pitch + length <= pitch and all(count == 1 or stride % pitch == 0 for count, stride in loops):
            first, beyond = start % pitch, start % pitch + length
        return self._stamps[low // pitch // self._rows:(high - 1) // pitch // self._rows + 1,
                            first // _COLUMN_BYTES:(beyond - 1) // _COLUMN_BYTES + 1]


class Tensors:
    """Those of a layout, by where they lie."""

    def __init__(self, layout: Layout):
        by_offset = {}
        for tensor in layout.tensors.values():
            by_offset.setdefault(tensor.offset, tensor)
        self._offsets = sorted(by_offset)
        self._tensors = [TensorStamps(by_offset[offset]) for offset in self._offsets]

    def at(self, offset: int) -> TensorStamps:
        return self._tensors[bisect_right(self._offsets, offset) - 1]


def moved(i: Load | Store) -> tuple[int, list[tuple[int, int]]]:
    """Bytes of a run outside the scratchpads, and (count, stride) of the loops around it."""
    side = "source" if type(i) is Load else "destination"
    length = i.length * Format(i.format).bytes
    loops = [(i.count0, length if i.dense else getattr(i, f"{side}_stride0")),
             (i.count1, getattr(i, f"{side}_stride1")), (i.count2, getattr(i, f"{side}_stride2"))]
    return length, [loop for loop in loops if loop[0] > 1]
