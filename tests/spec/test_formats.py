"""Number formats: layouts, exact values, rounding as the contract says."""

import random
from fractions import Fraction

import numpy as np
import pytest

from adagp.spec.formats import BFLOAT16, FLOAT32, FloatFormat

TINY = FloatFormat(exponent_bits=4, fraction_bits=3)


def test_layouts_of_the_named_formats():
    assert (BFLOAT16.bits, BFLOAT16.bias, BFLOAT16.infinity, BFLOAT16.nan) == (16, 127, 0x7F80, 0x7FC0)
    assert (FLOAT32.bits, FLOAT32.bias, FLOAT32.infinity, FLOAT32.nan) == (32, 127, 0x7F800000, 0x7FC00000)
    assert FLOAT32.smallest_normal == Fraction(1, 2**126)


@pytest.mark.parametrize("fmt", [BFLOAT16, TINY, FloatFormat(exponent_bits=5, fraction_bits=10)], ids=str)
def test_every_encoding_round_trips(fmt):
    for encoded in range(1 << fmt.bits):
        exponent = encoded >> fmt.fraction_bits & fmt.exponent_mask
        value = fmt.decode(encoded)
        if exponent == fmt.exponent_mask:
            assert value in ("nan", "inf", "-inf")
        elif exponent == 0:
            assert value == 0
        else:
            assert fmt.encode(value) == encoded


def test_decoding_agrees_with_numpy():
    rng = random.Random(1)
    for encoded in [rng.getrandbits(32) for _ in range(2000)]:
        value, number = FLOAT32.decode(encoded), float(np.uint32(encoded).view(np.float32))
        if number != number:
            assert value == "nan"
        elif abs(number) == float("inf"):
            assert value == ("inf" if number > 0 else "-inf")
        else:
            assert value == (Fraction(number) if abs(number) >= 2.0**-126 else 0)


def test_rounding_agrees_with_numpy_where_both_are_normal():
    rng = np.random.default_rng(2)
    doubles = rng.standard_normal(3000) * 2.0 ** rng.integers(-105, 126, 3000)
    with np.errstate(over="ignore"):
        want = doubles.astype(np.float32).view(np.uint32)
    assert [FLOAT32.encode(Fraction(x)) for x in doubles.tolist()] == want.tolist()


@pytest.mark.parametrize("value, encoded", [
    (Fraction(17, 16), 0x38), (Fraction(19, 16), 0x3A),                # ties: to the even one below, above
    (Fraction(17, 16) + Fraction(1, 1000), 0x39), (Fraction(31, 16), 0x40),  # past the tie; into the next binade
    (Fraction(1, 64), 0x08), (Fraction(1, 65), 0x08), (Fraction(7, 512), 0x00),  # smallest normal, rounds up to it, flushed
    (Fraction(15, 1024), 0x08), (Fraction(29, 2048), 0x00),           # a tie under the smallest normal, just below the tie
    (Fraction(240), 0x77), (Fraction(247), 0x77), (Fraction(248), 0x78), (Fraction(10**9), 0x78)])
def test_rounding_to_a_format_of_eight_bits(value, encoded):
    """Exponents from 2**-6 to 2**7, eighths."""
    assert TINY.encode(value) == encoded
    assert TINY.encode(-value) == encoded | 0x80


def test_results_below_the_smallest_normal_keep_their_sign():
    tiny = FLOAT32.smallest_normal / 4
    assert FLOAT32.encode(tiny) == 0 and FLOAT32.encode(-tiny) == 0x80000000


def test_exact_zero_takes_the_sign_that_it_is_given():
    assert FLOAT32.encode(Fraction(0)) == 0 and FLOAT32.encode(Fraction(0), negative_zero=True) == 0x80000000


@pytest.mark.parametrize("field, value", [("exponent_bits", 1), ("fraction_bits", 0), ("exponent_bits", 8.0)])
def test_impossible_formats_are_refused(field, value):
    least = {"exponent_bits": 2, "fraction_bits": 1}[field]
    with pytest.raises(ValueError, match=f"FloatFormat.{field} must be an integer of at least {least}, not {value!r}"):
        FloatFormat(**{"exponent_bits": 8, "fraction_bits": 7} | {field: value})
