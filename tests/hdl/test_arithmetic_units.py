"""Adder and multiplier against exact rational arithmetic, and against the host's float32."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from adagp.spec.formats import BFLOAT16, FLOAT32, FloatFormat
from adagp_hdl.arithmetic.adder import FloatAdder
from adagp_hdl.arithmetic.conversion import narrow, widen
from adagp_hdl.arithmetic.multiplier import FloatMultiplier
from adagp_tb.arithmetic_bench import compiled

SEED = 20231


def exact_sum(fmt: FloatFormat, a: int, b: int) -> int:
    """The contract, from rational numbers."""
    x, y = fmt.decode(a), fmt.decode(b)
    if "nan" in (x, y) or {x, y} == {"inf", "-inf"}:
        return fmt.nan
    for special in ("inf", "-inf"):
        if special in (x, y):
            return fmt.infinity | (special == "-inf") << fmt.bits - 1
    both_negative = bool(a & b & 1 << fmt.bits - 1)
    return fmt.encode(x + y, negative_zero=both_negative and x == y == 0)


def exact_product(fmt: FloatFormat, a: int, b: int) -> int:
    x, y = fmt.decode(a), fmt.decode(b)
    negative = bool((a ^ b) >> fmt.bits - 1)
    special = {x, y} & {"inf", "-inf"}
    if "nan" in (x, y) or special and 0 in (x, y):
        return fmt.nan
    if special:
        return fmt.infinity | negative << fmt.bits - 1
    return fmt.encode(x * y, negative_zero=negative)


def corners(fmt: FloatFormat) -> list[int]:
    """Encodings of every class: zeros, subnormals, both ends of the normal range, ones with even
    and odd significands, infinity, NaNs; both signs."""
    one = fmt.bias << fmt.fraction_bits
    top = (1 << fmt.fraction_bits) - 1
    smallest = 1 << fmt.fraction_bits
    fractions = (0, 1, 2, 3, top >> 1, (top >> 1) + 1, (top >> 1) + 2, top - 1, top)
    distances = (0, 1, 2, fmt.fraction_bits - 1, fmt.fraction_bits, fmt.fraction_bits + 1, fmt.fraction_bits + 2,
                 fmt.fraction_bits + 3)
    positive = {0, 1, top, fmt.infinity, fmt.infinity + 1, fmt.nan, fmt.infinity | top}
    for base in (smallest, one, fmt.infinity - smallest):
        for distance in distances:
            exponent = base - (distance << fmt.fraction_bits) if base > one else base + (distance << fmt.fraction_bits)
            positive.update(exponent | fraction for fraction in fractions)
    return sorted(value | sign << fmt.bits - 1 for value in positive for sign in (0, 1))


def near(fmt: FloatFormat, values: np.ndarray, generator) -> np.ndarray:
    """Encodings of random sign whose exponent lies near that of ``values``."""
    exponent = (values >> fmt.fraction_bits).astype(np.int64) & fmt.exponent_mask
    exponent = np.clip(exponent + generator.integers(-4, 5, values.shape), 0, fmt.exponent_mask)
    low = generator.integers(0, 1 << fmt.fraction_bits, values.shape)
    few = generator.integers(0, 2, values.shape) * ((1 << fmt.fraction_bits) - 1)  # long carries
    sign = generator.integers(0, 2, values.shape)
    fraction = np.where(generator.random(values.shape) < .3, few, low)
    return sign << fmt.bits - 1 | exponent << fmt.fraction_bits | fraction


def check(unit, exact, fmt, a, b, stall=0):
    got = compiled(unit, fmt)(a, b, stall=stall)
    for x, y, o in zip(a.tolist(), b.tolist(), got.tolist(), strict=True):
        assert o == exact(fmt, x, y), (
            f"{unit.__name__} {x:#010x}, {y:#010x} gives {o:#010x}, not {exact(fmt, x, y):#010x} (seed {SEED})")


UNITS = pytest.mark.parametrize("unit, exact", [(FloatAdder, exact_sum), (FloatMultiplier, exact_product)])


@UNITS
@pytest.mark.parametrize("fmt", [FLOAT32, BFLOAT16], ids=["float32", "bfloat16"])
def test_all_pairs_of_corner_values(unit, exact, fmt):
    generator = np.random.default_rng(SEED)
    a, b = np.array(list(itertools.product(corners(fmt), repeat=2)), dtype=np.int64).T
    chosen = generator.permutation(len(a))[:30_000]
    check(unit, exact, fmt, a[chosen], b[chosen])


@UNITS
def test_random_pairs_with_stalls(unit, exact):
    generator = np.random.default_rng(SEED)
    a = generator.integers(0, 1 << 32, 10_000)
    b = np.where(generator.random(a.shape) < .2, generator.integers(0, 1 << 32, a.shape), near(FLOAT32, a, generator))
    check(unit, exact, FLOAT32, a, b, stall=3)


def test_products_around_the_smallest_normal_number():
    """2^-126 − 2^-150 and above round up to 2^-126, everything below is flushed."""
    generator = np.random.default_rng(SEED)
    a = generator.integers(0, 1 << 23, 10_000) | generator.integers(1, 126, 10_000) << 23
    quotient = np.float64(2.0) ** -126 / a.astype(np.uint32).view(np.float32).astype(np.float64)
    b = quotient.astype(np.float32).view(np.uint32).astype(np.int64) + generator.integers(-3, 4, a.shape)
    check(FloatMultiplier, exact_product, FLOAT32, a, b)
    got = compiled(FloatMultiplier, FLOAT32)(a, b)
    assert {0, FLOAT32.encode(FLOAT32.smallest_normal)} < set(got.tolist())


def test_smallest_normal_is_reached_from_exactly_half_a_step_below():
    below = FLOAT32.encode(1 - FLOAT32.decode(0x33800000))  # 1 − 2^-24
    check(FloatMultiplier, exact_product, FLOAT32, np.array([below, below - 1]), np.array([0x00800000] * 2))
    assert compiled(FloatMultiplier, FLOAT32)(np.array([below, below - 1]), np.array([0x00800000] * 2)).tolist() == [
        0x00800000, 0]


@pytest.mark.parametrize("unit, operation", [(FloatAdder, np.add), (FloatMultiplier, np.multiply)])
def test_millions_of_pairs_agree_with_the_host(unit, operation):
    generator = np.random.default_rng(SEED + 1)
    a = generator.integers(0, 1 << 32, 2_000_000)
    b = np.where(generator.random(a.shape) < .2, generator.integers(0, 1 << 32, a.shape), near(FLOAT32, a, generator))
    flushed = []
    for values in (a, b):
        values = values.astype(np.uint32)
        flushed.append(np.where(values & 0x7F800000, values, values & 0x80000000).astype(np.uint32).view(np.float32))
    with np.errstate(all="ignore"):
        result = operation(*flushed)
    want = result.view(np.uint32)
    want = np.where(want & 0x7F800000, want, want & 0x80000000)
    want = np.where(np.isnan(result), FLOAT32.nan, want)
    got = compiled(unit, FLOAT32)(a, b)
    wrong = np.flatnonzero(got != want)
    assert not wrong.size, (f"{wrong.size} of {a.size}, first {a[wrong[0]]:#010x}, {b[wrong[0]]:#010x}: "
                            f"{got[wrong[0]]:#010x}, not {want[wrong[0]]:#010x} (seed {SEED + 1})")


class Conversion(wiring.Component):
    wide: In(32)
    narrowed: Out(16)
    widened: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.narrowed.eq(narrow(self.wide)), self.widened.eq(widen(self.wide[:16]))]
        return m


def test_conversions():
    generator = np.random.default_rng(SEED)
    random = generator.integers(0, 1 << 32, 3000)
    ties = (random & ~0xFFFF) | 0x8000 | generator.integers(-1, 2, 3000)
    values = [*corners(FLOAT32), *random.tolist(), *ties.tolist()]
    conversion = Conversion()

    async def bench(ctx):
        for value in values:
            ctx.set(conversion.wide, value)
            exact = FLOAT32.decode(value)
            sign = value >> 31
            if exact == "nan":
                want = BFLOAT16.nan
            elif isinstance(exact, str):
                want = BFLOAT16.infinity | sign << 15
            else:
                want = BFLOAT16.encode(exact, negative_zero=bool(sign))
            assert ctx.get(conversion.narrowed) == want, f"{value:#010x} (seed {SEED})"
            assert ctx.get(conversion.widened) == (value & 0xFFFF) << 16

    simulator = Simulator(conversion)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("fraction_bits", [4, 28])
def test_unsuitable_fraction_is_refused(fraction_bits):
    with pytest.raises(ValueError, match=f"fraction bits, not {fraction_bits}"):
        FloatAdder(FloatFormat(exponent_bits=8, fraction_bits=fraction_bits))
