"""The instruction set transcribed word by word into plain Python on exact rationals.

Shares nothing with the golden machine but the decoded instructions: memories are lists of encoded
integers, numbers are ``fractions.Fraction``, loops are loops. Slow; that is the point.
"""

import math
from fractions import Fraction
from itertools import product

from adagp.spec.config import AcceleratorConfig
from adagp.spec.formats import BFLOAT16, FLOAT32, FloatFormat
from adagp.spec.isa import (
    Addend, Array, Fill, Format, Function, Load, Memory, Multiplier, PredictorArray, Store, Vector)

NAN, INFINITY = FLOAT32.nan, FLOAT32.infinity


def sign(x: int) -> int:
    return x >> 31


def value(x: int) -> Fraction | float:
    """A Fraction, or a Python float for infinities and NaN."""
    decoded = FLOAT32.decode(x)
    return float(decoded) if isinstance(decoded, str) else decoded


def is_nan(x: int) -> bool:
    return value(x) != value(x)


def is_infinite(x: int) -> bool:
    return not is_nan(x) and abs(value(x)) == math.inf


def zero(negative: int) -> int:
    return 0x80000000 if negative else 0


def multiply(x: int, y: int) -> int:
    negative = sign(x) ^ sign(y)
    if is_nan(x) or is_nan(y):
        return NAN
    if is_infinite(x) or is_infinite(y):
        return NAN if value(x) == 0 or value(y) == 0 else INFINITY | negative << 31
    return FLOAT32.encode(value(x) * value(y), negative_zero=bool(negative))


def add(x: int, y: int) -> int:
    if is_nan(x) or is_nan(y):
        return NAN
    if is_infinite(x) or is_infinite(y):
        if is_infinite(x) and is_infinite(y) and sign(x) != sign(y):
            return NAN
        return (INFINITY | sign(x) << 31) if is_infinite(x) else (INFINITY | sign(y) << 31)
    both_negative_zero = value(x) == 0 and value(y) == 0 and sign(x) and sign(y)
    return FLOAT32.encode(value(x) + value(y), negative_zero=bool(both_negative_zero))


def maximum(x: int, y: int) -> int:
    if is_nan(x) or is_nan(y):
        return NAN
    best = max((value(x), 1 - sign(x)), (value(y), 1 - sign(y)))
    if best[0] == 0:
        return zero(1 - best[1])
    return x if value(x) == best[0] else y


def minimum(x: int, y: int) -> int:
    if is_nan(x) or is_nan(y):
        return NAN
    best = min((value(x), 1 - sign(x)), (value(y), 1 - sign(y)))
    if best[0] == 0:
        return zero(1 - best[1])
    return x if value(x) == best[0] else y


def reciprocal(a: int) -> int:
    if is_nan(a):
        return NAN
    if value(a) == 0:
        return INFINITY | sign(a) << 31
    if is_infinite(a):
        return zero(sign(a))
    m = 0x7EF311C7 - (a & 0x7FFFFFFF)
    return zero(sign(a)) if m < 0x00800000 else m | sign(a) << 31


def rsqrt(a: int) -> int:
    if is_nan(a):
        return NAN
    if value(a) == 0:
        return INFINITY
    if sign(a):
        return NAN
    return 0 if is_infinite(a) else 0x5F3759DF - (a >> 1)


def exp2(a: int) -> int:
    if is_nan(a):
        return NAN
    if is_infinite(a):
        return 0 if sign(a) else INFINITY
    n = math.trunc(value(a))
    if n < -126:
        return 0
    return INFINITY if n > 127 else FLOAT32.encode(Fraction(2) ** n)


def exponent(a: int) -> int:
    if is_nan(a):
        return NAN
    if value(a) == 0:
        return INFINITY | 1 << 31
    if is_infinite(a):
        return INFINITY
    return FLOAT32.encode(Fraction(_unbiased(a)))


def significand(a: int) -> int:
    if is_nan(a):
        return NAN
    if value(a) == 0 or is_infinite(a):
        return FLOAT32.encode(Fraction(1))
    return FLOAT32.encode(abs(value(a)) / Fraction(2) ** _unbiased(a))


def _unbiased(a: int) -> int:
    magnitude, n = abs(value(a)), 0
    while magnitude >= 2:
        magnitude, n = magnitude / 2, n + 1
    while magnitude < 1:
        magnitude, n = magnitude * 2, n - 1
    return n


def arithmetic(i: Vector, a: int, b: int) -> int:
    p = {Multiplier.NONE: lambda: a, Multiplier.B: lambda: multiply(a, b),
         Multiplier.S: lambda: multiply(a, i.s)}[i.multiplier]()
    if i.negate_product:
        p ^= 0x80000000
    if i.addend != Addend.NONE:
        term = b if i.addend == Addend.B else i.t
        p = add(p, term ^ (0x80000000 if i.negate_addend else 0))
    elif i.multiplier != Multiplier.NONE and is_nan(p):
        p = NAN
    return maximum(p, 0) if i.relu else p


def vector_lane(i: Vector, a: int, b: int) -> int:
    y = b if i.addend == Addend.B else i.t
    return {
        Function.ARITHMETIC: lambda: arithmetic(i, a, b),
        Function.MAXIMUM: lambda: maximum(a, y),
        Function.MINIMUM: lambda: minimum(a, y),
        Function.GATE: lambda: y if not is_nan(a) and value(a) > 0 else 0,
        Function.EQUAL: lambda: FLOAT32.encode(Fraction(1)) if value(a) == value(y) else 0,
        Function.RECIPROCAL: lambda: reciprocal(a),
        Function.RSQRT: lambda: rsqrt(a),
        Function.EXP2: lambda: exp2(a),
        Function.EXPONENT: lambda: exponent(a),
        Function.SIGNIFICAND: lambda: significand(a),
    }[i.function]()


def round_to_operand(x: int) -> int:
    if is_nan(x):
        return BFLOAT16.nan
    if is_infinite(x):
        return BFLOAT16.infinity | sign(x) << 15
    return BFLOAT16.encode(value(x), negative_zero=bool(sign(x)))


class LiteralMachine:
    """Memories of encoded integers and :meth:`execute`, which follows the docstrings of the ISA."""

    def __init__(self, config: AcceleratorConfig, memory: bytes):
        self.config = config
        self.memory = bytearray(memory)
        self.stream = [0] * config.stream_elements
        self.stationary = [0] * config.stationary_elements
        self.vector = [0] * config.vector_elements
        self.predictor_stream = [0] * config.predictor_stream_elements
        self.predictor_stationary = [0] * config.predictor_stationary_elements
        self.predictor_memory = bytearray(4 * config.predictor_elements)
        self.quality = [0] * 128

    def execute(self, i, bases):
        {Load: self._load, Fill: self._fill, Array: self._array, PredictorArray: self._predictor_array,
         Vector: self._report if getattr(i, "function", None) == Function.REPORT else self._vector,
         Store: self._store}[type(i)](i, bases)

    def _scratchpad(self, memory: Memory) -> list[int]:
        return {Memory.STREAM: self.stream, Memory.STATIONARY: self.stationary, Memory.VECTOR: self.vector,
                Memory.PREDICTOR_STREAM: self.predictor_stream,
                Memory.PREDICTOR_STATIONARY: self.predictor_stationary}[memory]

    def _outside(self, i: Load | Store, bases) -> tuple[bytearray, int]:
        """The memory that a ``Load`` reads or a ``Store`` writes, and what its addresses count from."""
        return (self.predictor_memory, 0) if i.local else (self.memory, bases[i.base])

    def _load(self, i: Load, bases):
        target = self._scratchpad(i.memory)
        memory, base = self._outside(i, bases)
        for i2, i1, i0, e in product(range(i.count2), range(i.count1), range(i.count0), range(i.length)):
            address = (base + i.offset + i0 * i.source_stride0 + i1 * i.source_stride1
                       + i2 * i.source_stride2 + e * i.format.bytes) % 2**32
            x = int.from_bytes(memory[address:address + i.format.bytes], "little")
            if i.memory == Memory.VECTOR and i.format == Format.OPERAND:
                x <<= 16
            if i.memory != Memory.VECTOR and i.format == Format.FLOAT32:
                x = round_to_operand(x)
            to = i.destination + i1 * i.destination_stride1 + i2 * i.destination_stride2
            to += e * i.destination_stride0 + i0 if i.transpose else i0 * i.destination_stride0 + e
            target[to % len(target)] = x

    def _fill(self, i: Fill, bases):
        target = self._scratchpad(i.memory)
        for i2, i1, i0, e in product(range(i.count2), range(i.count1), range(i.count0), range(i.length)):
            to = (i.destination + i0 * i.destination_stride0 + i1 * i.destination_stride1
                  + i2 * i.destination_stride2 + e)
            target[to % len(target)] = i.value if i.memory == Memory.VECTOR else i.value >> 16

    def _array(self, i: Array, bases):
        self._tiles(i, self.config.rows, self.config.columns, self.stream, self.stationary)

    def _predictor_array(self, i: PredictorArray, bases):
        self._tiles(i, self.config.predictor_rows, self.config.predictor_columns, self.predictor_stream,
                    self.predictor_stationary)

    def _tiles(self, i: Array, rows: int, columns: int, stream: list[int], stationary: list[int]):
        row_count = i.row_count0 * i.row_count1 * i.row_count2
        for o1, o0, j in product(range(i.outer_count1), range(i.outer_count0), range(-(-row_count // rows))):
            fresh = (i.accumulate == 0 and j == 0 and (o1 == 0 or i.accumulator_outer_stride1 != 0)
                     and (o0 == 0 or i.accumulator_outer_stride0 != 0))
            w = [[self._w(i, stationary, o1, o0, j * rows + r, c) for c in range(columns)] for r in range(rows)]
            vectors = product(range(i.stream_count2), range(i.stream_count1), range(i.stream_count0))
            for p, (s2, s1, s0) in enumerate(vectors):
                x = [self._x(i, stream, o1, o0, j, r, s2, s1, s0) if j * rows + r < row_count else 0 for r in range(rows)]
                word = (i.accumulator + o0 * i.accumulator_outer_stride0
                        + o1 * i.accumulator_outer_stride1 + p) % self.config.vector_words
                for c in range(self.config.vector_lanes):
                    total = 0
                    if c < columns:
                        for r in range(rows):
                            total = add(total, multiply(x[r], w[r][c]))
                        if not fresh:
                            total = add(self.vector[word * self.config.vector_lanes + c], total)
                    self.vector[word * self.config.vector_lanes + c] = total

    def _x(self, i: Array, stream, o1, o0, j, r, s2, s1, s0) -> int:
        address = (i.stream + o0 * i.stream_outer_stride0 + o1 * i.stream_outer_stride1 + j * i.chunk_stride
                   + s0 * i.stream_stride0 + s1 * i.stream_stride1 + s2 * i.stream_stride2 + r)
        return stream[address % len(stream)] << 16

    def _w(self, i: Array, stationary, o1, o0, n, c) -> int:
        if n >= i.row_count0 * i.row_count1 * i.row_count2 or c >= i.columns:
            return 0
        r0, r1, r2 = n % i.row_count0, n // i.row_count0 % i.row_count1, n // i.row_count0 // i.row_count1
        address = (i.stationary + o0 * i.stationary_outer_stride0 + o1 * i.stationary_outer_stride1
                   + r0 * i.row_stride0 + r1 * i.row_stride1 + r2 * i.row_stride2 + c)
        return stationary[address % len(stationary)] << 16

    def _vector(self, i: Vector, bases):
        lanes, words = self.config.vector_lanes, self.config.vector_words
        for i2, i1, i0 in product(range(i.count2), range(i.count1), range(i.count0)):
            a, b, d = ((start + i0 * stride0 + i1 * stride1 + i2 * stride2) % words * lanes
                       for start, stride0, stride1, stride2 in (
                           (i.a, i.a_stride0, i.a_stride1, i.a_stride2),
                           (i.b, i.b_stride0, i.b_stride1, i.b_stride2),
                           (i.d, i.d_stride0, i.d_stride1, i.d_stride2)))
            self.vector[d:d + lanes] = [
                vector_lane(i, self.vector[a + lane], self.vector[b + (i.lane if i.broadcast else lane)])
                for lane in range(lanes)]

    def _report(self, i: Vector, bases):
        for i2, i1, i0 in product(range(i.count2), range(i.count1), range(i.count0)):
            a = (i.a + i0 * i.a_stride0 + i1 * i.a_stride1 + i2 * i.a_stride2) % self.config.vector_words
            register = (i.d + i0 * i.d_stride0 + i1 * i.d_stride1 + i2 * i.d_stride2) % 128
            self.quality[register] = self.vector[a * self.config.vector_lanes]

    def _store(self, i: Store, bases):
        memory, base = self._outside(i, bases)
        for i2, i1, i0, e in product(range(i.count2), range(i.count1), range(i.count0), range(i.length)):
            source = i.source + i0 * i.source_stride0 + i1 * i.source_stride1 + i2 * i.source_stride2 + e
            x = self.vector[source % len(self.vector)]
            if i.format == Format.OPERAND:
                x = round_to_operand(x)
            address = (base + i.offset + i0 * i.destination_stride0 + i1 * i.destination_stride1
                       + i2 * i.destination_stride2 + e * i.format.bytes) % 2**32
            memory[address:address + i.format.bytes] = x.to_bytes(i.format.bytes, "little")
