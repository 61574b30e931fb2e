"""Emits instructions in terms of tensors, tiles and loops of any depth."""

import struct
from dataclasses import dataclass
from itertools import product
from math import prod

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (Addend, Array, Engine, Fill, Function, Load, Memory, Multiplier, PredictorArray,
                            Store, Vector)

from .program import ProgramBuilder
from .scratch import Scratch
from .tensors import Tensor

MOST = 0xFFFF
"""Largest count or length of an instruction."""


def bits(value: float) -> int:
    """The float32 encoding of ``value``, rounded to nearest."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A block of a matrix in the vector memory, one matrix row per word from ``word`` on.

    The matrix rows are ``row`` plus Σ index·stride over ``loops``, (count, stride) pairs with the
    innermost first; the columns are ``columns`` consecutive ones from ``column``. They lie in the first
    lanes; with each step of the outermost loop they lie ``shift`` lanes further on.
    """

    word: int
    row: int
    loops: tuple[tuple[int, int], ...]
    column: int
    columns: int
    shift: int = 0

    @property
    def rows(self) -> int:
        return prod(count for count, _ in self.loops)

    def runs(self, matrix: Tensor, lanes: int):
        """Where the block lies in ``matrix`` (its last dimension are the columns) and in its words:
        (byte offset, length, loops of (count, bytes, elements))."""
        size = matrix.format.bytes
        pitch, loops, elements = matrix.shape[-1] * size, [], lanes
        for count, stride in self.loops:
            loops.append((count, stride * pitch, elements))
            elements *= count
        count, by_row, by_element = loops[-1]
        loops[-1] = count, by_row, by_element + self.shift
        return self.row * pitch + self.column * size, self.columns, loops


@dataclass(frozen=True, kw_only=True)
class Run:
    """``elements`` consecutive elements of a tensor, from number ``first`` on, that lie densely in
    the vector memory from ``word`` on: for what treats all elements alike, whatever the shape."""

    word: int
    first: int
    elements: int
    rows: int

    def runs(self, tensor: Tensor, lanes: int):
        return self.first * tensor.format.bytes, self.elements, ()


class Emitter:
    """Appends to one program, for one of the machine's arrays.

    ``array_shape`` is the shape of that ``array`` (ARRAY or PREDICTOR), ``stream`` and ``stationary`` are its
    operand memories. Several emitters may share a ``builder``, each with a ``scratch`` of its own.
    Sources and destinations are given as in :mod:`adagp.spec.isa`, ``loops`` innermost first and of any
    number. Work of the array is booked on the counters of ``layer``, which may be set at any time.
    """

    def __init__(self, config: AcceleratorConfig, array: Engine = Engine.ARRAY, builder: ProgramBuilder | None = None,
                 scratch: Scratch | None = None):
        if array not in (Engine.ARRAY, Engine.PREDICTOR) or (
                array is Engine.PREDICTOR and not config.design.has_predictor_array):
            raise ValueError(f"Emitter.array must be an array of design {config.design.name}, not {array!r}")
        self.config = config
        self.layer = 0
        self.builder = ProgramBuilder(config) if builder is None else builder  # an empty one is false
        self.scratch = scratch or Scratch(config, array)
        if array is Engine.ARRAY:
            self._instruction, self.array_shape = Array, config.array
            self.stream, self.stationary = Memory.STREAM, Memory.STATIONARY
        else:
            self._instruction, self.array_shape = PredictorArray, config.predictor_array
            self.stream, self.stationary = Memory.PREDICTOR_STREAM, Memory.PREDICTOR_STATIONARY

    # External memory to scratchpads and back

    def load(self, tensor: Tensor, offset: int, memory: Memory, destination: int, length: int, loops=()) -> None:
        """``loops``: (count, source stride in bytes, destination stride in elements)."""
        size = tensor.format.bytes
        length, loops = _merge_contiguous(length, loops, (size, 1))
        for (source, target), inner in _unroll(loops, 3, 2):
            counts, strides = _fields(inner, 3, 2)
            self.builder.emit(Load(
                memory=memory, format=tensor.format, local=int(tensor.local), base=tensor.base, offset=tensor.offset + offset + source,
                destination=destination + target, length=length,
                dense=int(counts[0] > 1 and strides[0][0] == length * size),
                **_named("count", counts), **_named("source_stride", [s[0] for s in strides]),
                **_named("destination_stride", [s[1] for s in strides])))

    def load_transposed(self, tensor: Tensor, offset: int, memory: Memory, destination: int, *, rows: int,
                        row_stride: int, columns: int, column_stride: int, loops=()) -> None:
        """Row i, column e → destination + e·column_stride + i. ``row_stride`` in bytes; ``rows`` at
        most the lanes of the memory."""
        loops = [loop for loop in loops if loop[0] != 1]
        for (source, target), inner in _unroll(loops, 2, 2):
            counts, strides = _fields(inner, 2, 2)
            for column in range(0, columns, MOST):
                self.builder.emit(Load(
                    memory=memory, transpose=1, format=tensor.format, local=int(tensor.local), base=tensor.base,
                    offset=tensor.offset + offset + source + column * tensor.format.bytes,
                    destination=destination + target + column * column_stride,
                    length=min(MOST, columns - column), count0=rows, count1=counts[0], count2=counts[1],
                    source_stride0=row_stride, source_stride1=strides[0][0], source_stride2=strides[1][0],
                    destination_stride0=column_stride, destination_stride1=strides[0][1],
                    destination_stride2=strides[1][1]))

    def fill(self, memory: Memory, destination: int, length: int, loops=(), value: float = 0.0) -> None:
        """``loops``: (count, destination stride)."""
        if length <= 0 or any(count <= 0 for count, _ in loops):
            return
        length, loops = _merge_contiguous(length, loops, (1,))
        for (target,), inner in _unroll(loops, 3, 1):
            counts, strides = _fields(inner, 3, 1)
            self.builder.emit(Fill(memory=memory, value=bits(value), destination=destination + target, length=length,
                                   **_named("count", counts),
                                   **_named("destination_stride", [s[0] for s in strides])))

    def store(self, tensor: Tensor, offset: int, source: int, length: int, loops=()) -> None:
        """``loops``: (count, destination stride in bytes, source stride in elements)."""
        size = tensor.format.bytes
        length, loops = _merge_contiguous(length, loops, (size, 1))
        for (target, origin), inner in _unroll(loops, 3, 2):
            counts, strides = _fields(inner, 3, 2)
            self.builder.emit(Store(
                format=tensor.format, local=int(tensor.local), base=tensor.base,
                offset=tensor.offset + offset + target,
                source=source + origin, length=length,
                dense=int(counts[0] > 1 and strides[0][0] == length * size),
                **_named("count", counts), **_named("destination_stride", [s[0] for s in strides]),
                **_named("source_stride", [s[1] for s in strides])))

    def load_tile(self, tensor: Tensor, tile: Tile | Run, word: int) -> None:
        """The same block of another tensor to the words from ``word`` on."""
        offset, length, loops = tile.runs(tensor, self.config.vector_lanes)
        self.load(tensor, offset, Memory.VECTOR, word * self.config.vector_lanes, length, loops)

    def store_tile(self, tensor: Tensor, tile: Tile | Run) -> None:
        offset, length, loops = tile.runs(tensor, self.config.vector_lanes)
        self.store(tensor, offset, tile.word * self.config.vector_lanes, length, loops)

    # Array and vector unit

    def array(self, **fields) -> None:
        """``Array`` or ``PredictorArray``, whichever array this emitter works for, booked on ``layer``."""
        self.builder.emit(self._instruction(layer=self.layer, **fields))

    def vector(self, d: int, a: int, loops, b: int = 0, function: Function = Function.ARITHMETIC, *,
               times: str | float | None = None, plus: str | float | None = None, negate_product: bool = False,
               negate_addend: bool = False, relu: bool = False, broadcast: bool = False, lane: int = 0) -> None:
        """``loops``: (count, stride of d, stride of a, stride of b), or a number of words.

        ``times`` and ``plus`` are "b", a number, or nothing; for the other functions ``plus`` is y.
        ``broadcast`` reads the lane ``lane`` of b for all lanes.
        """
        if isinstance(loops, int):
            loops = ((loops, 1, 1, 1),)
        loops = _merge_nested(loops)
        multiplier, s = (Multiplier.B, 0.0) if times == "b" else (
            (Multiplier.NONE, 0.0) if times is None else (Multiplier.S, times))
        addend, t = (Addend.B, 0.0) if plus == "b" else ((Addend.NONE, 0.0) if plus is None else (Addend.T, plus))
        uses_b = "b" in (times, plus)
        for (dd, aa, bb), inner in _unroll(loops, 3, 3):
            counts, strides = _fields(inner, 3, 3)
            self.builder.emit(Vector(
                function=function, multiplier=multiplier, addend=addend, negate_product=int(negate_product),
                negate_addend=int(negate_addend), relu=int(relu), broadcast=int(broadcast), lane=lane, s=bits(s), t=bits(t),
                d=d + dd, a=a + aa, b=b + bb if uses_b else 0, **_named("count", counts),
                **_named("d_stride", [x[0] for x in strides]), **_named("a_stride", [x[1] for x in strides]),
                **_named("b_stride", [x[2] if uses_b else 0 for x in strides])))

    def report(self, index: int, a: int, words: int) -> None:
        """Lane 0 of ``words`` words to the registers from QUALITY[index] on."""
        self.builder.emit(Vector(function=Function.REPORT, a=a, d=index, count0=words, a_stride0=1, d_stride0=1))


def _merge_contiguous(length: int, loops, unit: tuple[int, ...]):
    """Absorbs inner loops that continue the run on all sides into its length."""
    loops = [loop for loop in loops if loop[0] != 1]
    while loops and loops[0][0] * length <= MOST and all(
            stride == length * size for stride, size in zip(loops[0][1:], unit)):
        length *= loops.pop(0)[0]
    return length, loops


def _merge_nested(loops):
    """Joins a loop with the next outer one that continues it for all operands."""
    merged = []
    for count, *strides in loops:
        if count == 1:
            continue
        if merged and merged[-1][0] * count <= MOST and all(
                outer == inner * merged[-1][0] for outer, inner in zip(strides, merged[-1][1:])):
            merged[-1] = (merged[-1][0] * count, *merged[-1][1:])
        else:
            merged.append((count, *strides))
    return merged or [(1, *(0 for _ in loops[0][1:]))]


def _unroll(loops, depth: int, sides: int):
    """Leaves ``depth`` inner loops to the machine: (offsets, inner loops) for each outer index."""
    outer = loops[depth:]
    for indices in product(*(range(count) for count, *_ in reversed(outer))):
        offsets = [0] * sides
        for index, (_, *strides) in zip(reversed(indices), outer):
            offsets = [offset + index * stride for offset, stride in zip(offsets, strides)]
        yield offsets, loops[:depth]


def _fields(loops, depth: int, sides: int):
    loops = [*loops, *[(1, *[0] * sides)] * (depth - len(loops))]
    return [loop[0] for loop in loops], [loop[1:] for loop in loops]


def _named(prefix: str, values) -> dict[str, int]:
    return {f"{prefix}{i}": value for i, value in enumerate(values)}
