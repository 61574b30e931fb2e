"""Conversion between formats of the same exponent range, as expressions."""

from amaranth.hdl import Cat, Const, Mux, Value, ValueLike

from adagp.spec.formats import BFLOAT16, FLOAT32, FloatFormat

from .unpacking import Unpacked


def narrow(value: ValueLike, source: FloatFormat = FLOAT32, target: FloatFormat = BFLOAT16) -> Value:
    """``value`` of format ``source`` rounded to ``target``, combinational.

    Nearest even; subnormals become zero of their sign, what is too large infinity, a NaN canonical.
    """
    _same_range(source, target)
    unpacked = Unpacked(source, value)
    drop = source.fraction_bits - target.fraction_bits
    kept, half = Value.cast(value)[drop:-1], unpacked.fraction[drop - 1]
    rest = unpacked.fraction[:drop - 1].any()
    rounded = (kept + (half & (rest | kept[0])))[:target.bits - 1]
    magnitude = Mux(unpacked.nan, target.nan, Mux(unpacked.zero, 0, rounded))
    return Cat(magnitude[:target.bits - 1], unpacked.sign & ~unpacked.nan)


def widen(value: ValueLike, source: FloatFormat = BFLOAT16, target: FloatFormat = FLOAT32) -> Value:
    """``value`` of format ``source`` in ``target``, exactly and bit by bit (NaN and subnormals too)."""
    _same_range(target, source)
    return Cat(Const(0, target.fraction_bits - source.fraction_bits), Value.cast(value))


def _same_range(wide: FloatFormat, narrow: FloatFormat):
    if wide.exponent_bits != narrow.exponent_bits or wide.fraction_bits <= narrow.fraction_bits:
        raise ValueError(f"the wide format must have the exponent of {narrow!r} and more fraction bits, not {wide!r}")
