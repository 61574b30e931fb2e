"""The processing element against rational arithmetic, the host's float32 and double products."""

import numpy as np

from adagp.spec.formats import BFLOAT16, FLOAT32
from adagp_tb.arithmetic_bench import ElementUnit, check_products, compiled

SEED = 20232


def exact(x: int, w: int, partial: int) -> int:
    """partial + x·w by the contract, from rational numbers."""
    a, b, c = BFLOAT16.decode(x), BFLOAT16.decode(w), FLOAT32.decode(partial)
    sign = -1 if (x ^ w) >> 15 else 1
    specials = {"inf": 1, "-inf": -1}
    if "nan" in (a, b, c) or (a in specials and b == 0) or (b in specials and a == 0):
        return FLOAT32.nan
    product = "inf" if a in specials or b in specials or abs(a * b) >= 2 ** 128 else abs(a * b)
    if product == "inf":
        return FLOAT32.nan if c in specials and specials[c] != sign else FLOAT32.infinity | (sign < 0) << 31
    if c in specials:
        return partial
    if product < FLOAT32.smallest_normal:
        product = 0
    negative_zero = product == 0 and sign < 0 and c == 0 and partial >> 31 == 1
    return FLOAT32.encode(c + sign * product, negative_zero=negative_zero)


def check(x, w, partial):
    got = compiled(ElementUnit)(w << 16 | x, partial).tolist()
    for a, b, c, o in zip(x.tolist(), w.tolist(), partial.tolist(), got, strict=True):
        assert o == exact(a, b, c), (f"{c:#010x} + {a:#06x}·{b:#06x} gives {o:#010x}, "
                                     f"not {exact(a, b, c):#010x} (seed {SEED})")


def operands(generator, count):
    """Operands of every class, half of them with short or long significands."""
    values = generator.integers(0, 1 << 16, count)
    pattern = generator.integers(0, 6, count)
    values = np.where(pattern == 0, values & 0xFF80, values)
    values = np.where(pattern == 1, values | 0x7F, values)
    return np.where(generator.random(count) < .02, values | 0x7F80, values)


def partials_near(generator, x, w):
    """Partial sums within a few binades of the product, many of them nearly cancelling it."""
    with np.errstate(all="ignore"):
        product = ((x << 16).astype(np.uint32).view(np.float32) * (w << 16).astype(np.uint32).view(np.float32))
    bits = product.view(np.uint32).astype(np.int64)
    close = bits ^ 1 << 31
    close = close + generator.integers(-3, 4, x.shape)
    exponent = np.clip((bits >> 23 & 255) + generator.integers(-27, 28, x.shape), 0, 255)
    fraction = generator.integers(0, 1 << 23, x.shape)
    fraction = np.where(generator.random(x.shape) < .3, fraction & 3, fraction)
    fraction = np.where(generator.random(x.shape) < .3, fraction | 0x7FFFF8, fraction)
    other = generator.integers(0, 2, x.shape) << 31 | exponent << 23 | fraction
    partial = np.where(generator.random(x.shape) < .3, close, other) & 0xFFFFFFFF
    # an element sees only what an element makes: no subnormals, canonical NaNs
    partial = np.where((partial & 0x7F800000) == 0, partial & 0x80000000, partial)
    nan = ((partial & 0x7F800000) == 0x7F800000) & ((partial & 0x7FFFFF) != 0)
    return np.where(nan, FLOAT32.nan, partial)


def test_sums_are_exact_for_all_classes():
    generator = np.random.default_rng(SEED)
    x, w = operands(generator, 40_000), operands(generator, 40_000)
    check(x, w, partials_near(generator, x, w))


def test_products_at_both_ends_of_the_range():
    generator = np.random.default_rng(SEED)
    x = generator.integers(0, 1 << 16, 30_000)
    total = np.where(generator.random(x.shape) < .5, 127, 381) + generator.integers(-3, 4, x.shape)
    exponent = np.clip(total - (x >> 7 & 255), 0, 255)
    w = generator.integers(0, 2, x.shape) << 15 | exponent << 7 | generator.integers(0, 128, x.shape)
    check(x, w, partials_near(generator, x, w))


def test_millions_of_sums_agree_with_the_host():
    generator = np.random.default_rng(SEED + 1)
    x, w = (0x3F80 ^ generator.integers(0, 1 << 16, 2_000_000) & 0x87FF for _ in range(2))
    partial = partials_near(generator, x, w)
    partial = np.where((partial >> 23 & 255) == 255, 0, partial)
    got = compiled(ElementUnit)(w << 16 | x, partial)
    x, w = ((v << 16).astype(np.uint32).view(np.float32) for v in (x, w))
    with np.errstate(over="ignore"):
        want = (partial.astype(np.uint32).view(np.float32) + x * w).view(np.uint32)
    want = np.where(want & 0x7F800000, want, want & 0x80000000)
    assert np.array_equal(got, want), f"{(got != want).sum()} wrong (seed {SEED + 1})"


def test_products_of_some_operands_with_all_operands():
    for first, last in ((0x0000, 0x0002), (0x007F, 0x0082), (0x1FFE, 0x2002), (0x3F7F, 0x3F82), (0x5FFF, 0x6001),
                        (0x7F7F, 0x7F82), (0xFFBF, 0xFFC1)):
        report = check_products(first, last)
        assert not report.wrong, f"{report.wrong} wrong, first {report.first_wrong}"
        assert report.pairs == (last - first) << 16
