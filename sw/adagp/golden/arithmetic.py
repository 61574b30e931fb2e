"""The number contract on numpy arrays: flushing, conversion and the functions of the vector unit.

All functions take and return float32 (or its bits as uint32) and operands as uint16 bits. numpy
adds and multiplies as IEEE 754 says, with gradual underflow; flushing inputs and results around it
gives exactly the contract of :mod:`adagp.spec.formats`. NaN results may have any payload until
:func:`canonical` is applied, which every function that stores a result does.
"""

import numpy as np

from adagp.spec.formats import FLOAT32
from adagp.spec.isa import Addend, Function, Multiplier, Vector

NAN = np.uint32(FLOAT32.nan)
INFINITY = np.uint32(FLOAT32.infinity)
SIGN = np.uint32(1 << 31)
MAGNITUDE = np.uint32((1 << 31) - 1)
SMALLEST_NORMAL = np.uint32(1 << 23)
ONE = np.uint32(0x3F800000)


def bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint32)


def scalar(encoded: int) -> np.ndarray:
    """The float32 with these bits, flushed, as an array of one element."""
    return flush(np.array([encoded], np.uint32).view(np.float32))


def flush(values: np.ndarray) -> np.ndarray:
    """Subnormals become zeros of their sign. Returns ``values`` itself if there are none."""
    encoded = bits(values)
    if not ((encoded << np.uint32(1)) - np.uint32(1) < np.uint32(0xFFFFFF)).any():
        return values
    return np.where(encoded & INFINITY, encoded, encoded & SIGN).view(np.float32)


def canonical(values: np.ndarray) -> np.ndarray:
    """Every NaN becomes the canonical one. Returns ``values`` itself if there are none."""
    nan = values != values
    if not nan.any():
        return values
    return np.where(nan, NAN, bits(values)).view(np.float32)


def widen(operands: np.ndarray) -> np.ndarray:
    """uint16 operand bits → the float32 of the same value, bit by bit (NaNs and subnormals too)."""
    wide = operands.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def round_to_operand(encoded: np.ndarray) -> np.ndarray:
    """uint32 bits of float32 → uint16 operand bits: nearest even, NaN canonical, subnormals zero."""
    magnitude = encoded & MAGNITUDE
    rounded = (encoded + np.uint32(0x7FFF) + (encoded >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    rounded = np.where(magnitude < SMALLEST_NORMAL, (encoded & SIGN) >> np.uint32(16), rounded)
    return np.where(magnitude > INFINITY, NAN >> np.uint32(16), rounded).astype(np.uint16)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return flush(flush(a) * flush(b))


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return flush(flush(a) + flush(b))


def maximum(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """−0 < +0, NaN if either is NaN, subnormals count as zeros."""
    return _choose(a, y, np.greater_equal)


def minimum(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """−0 < +0, NaN if either is NaN, subnormals count as zeros."""
    return _choose(a, y, np.less_equal)


def _choose(a: np.ndarray, y: np.ndarray, first: np.ufunc) -> np.ndarray:
    a, y = flush(a), flush(y)
    chosen = np.where(first(_ordered(a), _ordered(y)), bits(a), bits(y))
    return np.where((a != a) | (y != y), NAN, chosen).view(np.float32)


def gate(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(flush(a) > 0, bits(y), np.uint32(0)).view(np.float32)


def equal(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (flush(a) == flush(y)).astype(np.float32)


def reciprocal(a: np.ndarray) -> np.ndarray:
    encoded = bits(flush(a))
    magnitude, sign = encoded & MAGNITUDE, encoded & SIGN
    estimate = np.int64(0x7EF311C7) - magnitude.astype(np.int64)
    result = sign | np.where(estimate < SMALLEST_NORMAL, 0, estimate).astype(np.uint32)
    result = np.where(magnitude == 0, sign | INFINITY, result)
    return np.where(magnitude > INFINITY, NAN, result).view(np.float32)


def rsqrt(a: np.ndarray) -> np.ndarray:
    a = flush(a)
    encoded = bits(a)
    result = np.uint32(0x5F3759DF) - (encoded >> np.uint32(1))
    result = np.where(encoded == INFINITY, np.uint32(0), result)
    result = np.where((a < 0) | (a != a), NAN, result)
    return np.where(a == 0, INFINITY, result).view(np.float32)


def exp2(a: np.ndarray) -> np.ndarray:
    n = np.trunc(np.clip(np.where(a == a, a, np.float32(0)), -1000, 1000)).astype(np.int64)
    result = np.clip(n + 127, 1, 254).astype(np.uint32) << np.uint32(23)
    result = np.where(n < -126, np.uint32(0), np.where(n > 127, INFINITY, result))
    return np.where(a == a, result, NAN).view(np.float32)


def exponent(a: np.ndarray) -> np.ndarray:
    magnitude = bits(flush(a)) & MAGNITUDE
    result = bits(((magnitude >> np.uint32(23)).astype(np.int32) - 127).astype(np.float32))
    result = np.where(magnitude == 0, SIGN | INFINITY, result)
    result = np.where(magnitude == INFINITY, INFINITY, result)
    return np.where(magnitude > INFINITY, NAN, result).view(np.float32)


def significand(a: np.ndarray) -> np.ndarray:
    magnitude = bits(flush(a)) & MAGNITUDE
    result = (magnitude & np.uint32(0x7FFFFF)) | ONE
    return np.where(magnitude > INFINITY, NAN, result).view(np.float32)


#: Functions of ``a`` and ``y``, and of ``a`` alone.
BINARY = {Function.MAXIMUM: maximum, Function.MINIMUM: minimum, Function.GATE: gate, Function.EQUAL: equal}
UNARY = {Function.RECIPROCAL: reciprocal, Function.RSQRT: rsqrt, Function.EXP2: exp2,
         Function.EXPONENT: exponent, Function.SIGNIFICAND: significand}


def arithmetic(instruction: Vector, a: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """The ARITHMETIC function. ``b`` is not looked at unless multiplier or addend say B."""
    result = a
    if instruction.multiplier != Multiplier.NONE:
        result = multiply(a, b if instruction.multiplier == Multiplier.B else scalar(instruction.s))
    if instruction.negate_product:
        result = _negate(result)
    if instruction.addend != Addend.NONE:
        term = b if instruction.addend == Addend.B else scalar(instruction.t)
        result = add(result, _negate(term) if instruction.negate_addend else term)
    if instruction.relu:
        return maximum(result, np.zeros(1, np.float32))
    if instruction.multiplier == Multiplier.NONE and instruction.addend == Addend.NONE:
        return result
    return canonical(result)


def evaluate(instruction: Vector, a: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """What ``instruction`` writes for the words ``a`` and ``b`` (float32, last axis the lanes)."""
    if instruction.function == Function.ARITHMETIC:
        return arithmetic(instruction, a, b)
    if instruction.function in UNARY:
        return UNARY[instruction.function](a)
    y = b if instruction.addend == Addend.B else np.array([instruction.t], np.uint32).view(np.float32)
    return BINARY[instruction.function](a, y)


def _negate(values: np.ndarray) -> np.ndarray:
    return (bits(values) ^ SIGN).view(np.float32)


def _ordered(values: np.ndarray) -> np.ndarray:
    """Integers in the order of the floats, −0 below +0."""
    encoded = values.view(np.int32)
    return np.where(encoded < 0, encoded ^ np.int32(0x7FFFFFFF), encoded)
