"""Binary floating-point formats as data.

The arithmetic contract, for every unit of the hardware and of the golden machine: round to
nearest, ties to even, as IEEE 754 says; then a subnormal result becomes zero of the same sign.
Subnormal inputs count as zero of the same sign. Overflow gives infinity. Every NaN result is the
one canonical quiet NaN.
"""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, kw_only=True)
class FloatFormat:
    """An IEEE 754 binary interchange layout: sign, biased exponent, fraction."""

    exponent_bits: int
    fraction_bits: int

    def __post_init__(self):
        for name, least in (("exponent_bits", 2), ("fraction_bits", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"FloatFormat.{name} must be an integer of at least {least}, not {value!r}")

    @property
    def bits(self) -> int:
        """Width of an encoded value."""
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def exponent_mask(self) -> int:
        """The all-ones exponent of infinities and NaNs."""
        return (1 << self.exponent_bits) - 1

    @property
    def infinity(self) -> int:
        """Encoding of +infinity."""
        return self.exponent_mask << self.fraction_bits

    @property
    def nan(self) -> int:
        """Encoding of the canonical quiet NaN."""
        return self.infinity | (1 << (self.fraction_bits - 1))

    @property
    def smallest_normal(self) -> Fraction:
        return Fraction(2) ** (1 - self.bias)

    def decode(self, encoded: int) -> Fraction | str:
        """The exact value of ``encoded``: a ``Fraction``, or "nan", "inf", "-inf".

        Subnormal encodings decode to zero. The sign of a zero is lost; read it from the encoding.
        """
        sign = -1 if encoded >> (self.bits - 1) & 1 else 1
        exponent = encoded >> self.fraction_bits & self.exponent_mask
        fraction = encoded & ((1 << self.fraction_bits) - 1)
        if exponent == self.exponent_mask:
            return "nan" if fraction else ("inf" if sign > 0 else "-inf")
        if exponent == 0:
            return Fraction(0)
        significand = (1 << self.fraction_bits) | fraction
        return sign * significand * Fraction(2) ** (exponent - self.bias - self.fraction_bits)

    def encode(self, value: Fraction, *, negative_zero: bool = False) -> int:
        """The encoding of ``value`` rounded as the contract above says.

        ``negative_zero`` chooses the sign when ``value`` is exactly zero.
        """
        sign_bit = 1 << (self.bits - 1)
        if value == 0:
            return sign_bit if negative_zero else 0
        sign = sign_bit if value < 0 else 0
        magnitude = abs(value)
        exponent = _floor_log2(magnitude)
        quantum = Fraction(2) ** (max(exponent, 1 - self.bias) - self.fraction_bits)
        steps = _round_half_even(magnitude / quantum)
        magnitude = steps * quantum
        if magnitude < self.smallest_normal:
            return sign
        exponent = _floor_log2(magnitude)
        if exponent > self.bias:
            return sign | self.infinity
        fraction = int(magnitude / Fraction(2) ** (exponent - self.fraction_bits)) - (1 << self.fraction_bits)
        return sign | (exponent + self.bias) << self.fraction_bits | fraction


def _floor_log2(value: Fraction) -> int:
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= value else exponent - 1


def _round_half_even(value: Fraction) -> int:
    return round(value)  # Fraction.__round__ is exact and rounds ties to even


BFLOAT16 = FloatFormat(exponent_bits=8, fraction_bits=7)
FLOAT32 = FloatFormat(exponent_bits=8, fraction_bits=23)
