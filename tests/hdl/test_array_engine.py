"""The array engine against the text of the Array instruction, written in numpy."""

import numpy as np
import pytest

from adagp.spec.isa import Array, Pass
from adagp_hdl.array.accumulator import Accumulator
from adagp_hdl.array.engine import ArrayEngine
from adagp_tb.array_bench import compiled_array

SEED = 20234
ELEMENTS, WORDS = 1024, 128
SHAPES = pytest.mark.parametrize("rows, columns", [(2, 2), (3, 5), (4, 4), (8, 8)])


def flushed(bits):
    """Subnormals become zero of their sign, NaNs canonical."""
    bits = np.where(bits & 0x7F800000, bits, bits & 0x80000000)
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(nan, 0x7FC00000, bits).astype(np.uint32)


def added(a, b):
    """float32 sums by the contract, of and as encodings."""
    with np.errstate(all="ignore"):
        total = flushed(a).view(np.float32) + flushed(b).view(np.float32)
    return flushed(total.view(np.uint32))


def multiplied(x, w):
    """Exact products of operands, zero below the smallest normal float32."""
    x, w = (flushed(v.astype(np.uint32) << 16).view(np.float32).astype(np.float64) for v in (x, w))
    with np.errstate(all="ignore"):
        exact = x * w
        tiny = np.abs(exact) < 2.0 ** -126
        return flushed(np.where(tiny, np.copysign(0.0, exact), exact).astype(np.float32).view(np.uint32))


def nest(counts, strides):
    """Offset of every iteration, the first loop innermost."""
    offsets = np.zeros(1, np.int64)
    for count, stride in zip(counts, strides, strict=True):
        offsets = (np.arange(count)[:, None] * stride + offsets).ravel()
    return offsets


def execute(order: Array, rows, columns, stream, stationary, vector):
    """Does to ``vector`` (uint32, words × lanes) what the instruction says. Returns the useful
    multiply-accumulates."""
    words, lanes = vector.shape
    xs = nest([order.stream_count0, order.stream_count1, order.stream_count2],
              [order.stream_stride0, order.stream_stride1, order.stream_stride2])
    walk = nest([order.row_count0, order.row_count1, order.row_count2],
                [order.row_stride0, order.row_stride1, order.row_stride2])
    macs = 0
    for o1 in range(order.outer_count1):
        for o0 in range(order.outer_count0):
            x_outer = order.stream + o1 * order.stream_outer_stride1 + o0 * order.stream_outer_stride0
            w_outer = (order.stationary + o1 * order.stationary_outer_stride1
                       + o0 * order.stationary_outer_stride0)
            word = order.accumulator + o1 * order.accumulator_outer_stride1 + o0 * order.accumulator_outer_stride0
            for chunk in range(-(-len(walk) // rows)):
                total = np.zeros((len(xs), columns), np.uint32)
                for row in range(rows):
                    n = chunk * rows + row
                    x = np.zeros((len(xs), 1), np.uint16)
                    w = np.zeros((1, columns), np.uint16)
                    if n < len(walk):
                        x[:, 0] = stream[(x_outer + chunk * order.chunk_stride + xs + row) % len(stream)]
                        w[0, :order.columns] = stationary[
                            (w_outer + walk[n] + np.arange(order.columns)) % len(stationary)]
                        macs += len(xs) * order.columns
                    total = added(total, multiplied(x, w))
                fresh = (not order.accumulate and chunk == 0 and (o0 == 0 or order.accumulator_outer_stride0)
                         and (o1 == 0 or order.accumulator_outer_stride1))
                for p, values in enumerate(total):
                    at = (word + p) % words
                    vector[at, :columns] = values if fresh else added(vector[at, :columns], values)
                    vector[at, columns:] = 0
    return macs


def operands(generator, count):
    """Ordinary numbers, with some zeros."""
    bits = (generator.normal(size=count).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return np.where(generator.random(count) < .1, 0, bits).astype(np.uint16)


def wild_operands(generator, count):
    """Any bits, many of them near the ends of the exponent range."""
    bits = generator.integers(0, 1 << 16, count)
    bits = np.where(generator.random(count) < .3, bits & 0x9FFF | 0x2000, bits)
    bits = np.where(generator.random(count) < .1, bits & 0x80FF, bits)
    return np.where(generator.random(count) < .85, bits & 0xBFFF, bits).astype(np.uint16)


def random_order(generator, rows, columns):
    def count(most):
        return int(generator.integers(1, most + 1)) if generator.random() < .5 else 1

    def stride(bits=20):
        return int(generator.integers(-40, 41)) if generator.random() < .9 else int(
            generator.integers(-(1 << bits - 1), 1 << bits - 1))

    return Array(
        tag=Pass(int(generator.integers(0, 4))), accumulate=int(generator.integers(0, 2)),
        columns=int(generator.integers(1, columns + 1)), stream=int(generator.integers(0, 1 << 20)),
        stationary=int(generator.integers(0, 1 << 20)), accumulator=int(generator.integers(0, 1 << 16)),
        stream_count0=count(2 * rows), stream_count1=count(4), stream_count2=count(3),
        row_count0=count(2 * rows), row_count1=count(3), row_count2=count(3),
        outer_count0=count(3), outer_count1=count(3),
        **{name: stride() for name in (
            "stream_stride0", "stream_stride1", "stream_stride2", "chunk_stride", "stream_outer_stride0",
            "stream_outer_stride1", "row_stride0", "row_stride1", "row_stride2", "stationary_outer_stride0",
            "stationary_outer_stride1")},
        accumulator_outer_stride0=int(generator.integers(-2, 3)),
        accumulator_outer_stride1=int(generator.integers(-20, 21)) if generator.random() < .5 else 0)


def check(rows, columns, orders, generator, *, source=operands, stall=0.0, seed=SEED):
    array = compiled_array(rows, columns, ELEMENTS, WORDS)
    stream, stationary = source(generator, ELEMENTS), source(generator, ELEMENTS)
    if source is operands:
        vector = generator.normal(size=(WORDS, array.lanes)).astype(np.float32).view(np.uint32)
    else:
        vector = flushed(generator.integers(0, 1 << 32, (WORDS, array.lanes)))
    got = array(orders, stream, stationary, vector, stall_probability=stall, seed=seed)
    macs = [0] * 4
    for order in orders:
        macs[order.tag] += execute(order, rows, columns, stream, stationary, vector)
    wrong = np.argwhere(got.vector != vector)
    assert not wrong.size, (f"{len(wrong)} values differ, first at word and lane {wrong[0]}: "
                            f"{got.vector[tuple(wrong[0])]:#010x}, not {vector[tuple(wrong[0])]:#010x} (seed {seed})")
    assert got.macs == tuple(macs)
    return got


@SHAPES
@pytest.mark.parametrize("stall", [0.0, 0.9, 0.99], ids=["flowing", "stalled", "starved"])
def test_random_instructions(rows, columns, stall):
    for seed in range(SEED, SEED + 12):
        generator = np.random.default_rng(seed)
        orders = [random_order(generator, rows, columns) for _ in range(10)]
        check(rows, columns, orders, generator, stall=stall, seed=seed)


@SHAPES
def test_numbers_of_every_class(rows, columns):
    classes = set()
    for seed in range(SEED, SEED + 6):
        generator = np.random.default_rng(seed)
        orders = [random_order(generator, rows, columns) for _ in range(6)]
        got = check(rows, columns, orders, generator, source=wild_operands, seed=seed)
        classes.update((got.vector[:, :columns] >> 23 & 255).ravel().tolist())
    assert {0, 1, 254, 255} <= classes or len(classes) > 200, f"exponents {sorted(classes)} (seed {SEED})"


@SHAPES
def test_few_vectors_that_return_at_once(rows, columns):
    """Every tile adds to the words of the tile before, with fewer vectors than that takes."""
    generator = np.random.default_rng(SEED)
    orders = [Array(tag=Pass.FORWARD, accumulate=accumulate, columns=columns, stream=11, stationary=5, accumulator=3,
                    stream_count0=count, stream_stride0=rows, row_count0=3 * rows - 1, row_stride0=columns,
                    chunk_stride=7, outer_count0=3, accumulator_outer_stride0=step)
              for count in (1, 2, 3, rows, rows + 1) for accumulate in (0, 1) for step in (0, 1, -1)]
    check(rows, columns, orders, generator)


def test_subnormal_operands_and_sums_are_zero():
    """A subnormal operand, a product below the normal range, and a sum that cancels into it."""
    array = compiled_array(2, 2, ELEMENTS, WORDS)
    stream, stationary = np.zeros(ELEMENTS, np.uint16), np.zeros(ELEMENTS, np.uint16)
    vector = np.full((WORDS, 2), 0x12345678, np.uint32)
    stream[:8] = [0x807F, 0x3F80,    # −subnormal, 1
                  0x2000, 0x3F80,    # 2^-63, 1
                  0x0080, 0x0080,    # 2^-126, 2^-126
                  0x0080, 0x3F80]
    stationary[:4] = [0x7F00, 0x1F80,    # 2^127, 2^-64
                      0x8000, 0x0080]    # −0, 2^-126
    stationary[4:8] = [0x3FC0, 0x3F80, 0xBF80, 0x4000]  # 1.5, 1; −1, 2
    first = Array(tag=Pass.FORWARD, columns=2, stream=0, stationary=0, accumulator=0, stream_count0=2,
                  stream_stride0=2, row_count0=2, row_stride0=2)
    second = Array(tag=Pass.FORWARD, columns=2, stream=4, stationary=4, accumulator=2, stream_count0=1,
                   row_count0=2, row_stride0=2)
    got = array([first, second], stream, stationary, vector).vector
    assert got[0].tolist() == [0x00000000, 0x00800000]   # +0 + −0·2^127 − 0, then + 2^-126
    assert got[1].tolist() == [0x7F000000 - (63 << 23), 0x00800000]  # 2^64; 2^-127 is nothing, + 2^-126
    assert got[2].tolist() == [0x00000000, 0x01400000]   # 1.5·2^-126 − 2^-126 is nothing; 3·2^-126


@pytest.mark.parametrize("vectors, tiles, slack", [(64, 36, 150), (Accumulator.latency(2) + 1, 200, 150)])
def test_one_vector_per_cycle(vectors, tiles, slack):
    """36 tiles of 64 vectors, and 200 of so few that each accumulator returns as soon as it may, in two instructions."""
    order = Array(tag=Pass.FORWARD, columns=8, stream=0, stationary=0, accumulator=0, stream_count0=vectors,
                  stream_stride0=8, row_count0=8 * tiles // 2, row_stride0=8, chunk_stride=8)
    generator = np.random.default_rng(SEED)
    got = check(8, 8, [order, order], generator)
    assert got.cycles <= tiles * vectors + slack


def test_single_tile_instructions_follow_without_a_gap():
    orders = [Array(tag=Pass.FORWARD, columns=8, stream=n, stationary=3 * n, accumulator=8 * n, stream_count0=8,
                    stream_stride0=8, row_count0=8, row_stride0=8) for n in range(100)]
    got = check(8, 8, orders, np.random.default_rng(SEED))
    assert got.cycles <= 100 * 8 + 150


def test_latency_is_that_of_the_last_vector():
    order = Array(tag=Pass.FORWARD, columns=3, stream=0, stationary=0, accumulator=0, stream_count0=1, row_count0=3)
    got = check(3, 5, [order], np.random.default_rng(SEED))
    taken, rows, closed = 1, 3, 1
    assert got.cycles == taken + rows + closed + ArrayEngine.latency(3, 5)


@pytest.mark.parametrize("name, value, least", [
    ("stream_lanes", 7, 8), ("stationary_lanes", 2, 4), ("vector_lanes", 3, 4), ("vector_latency", 0, 1)])
def test_unsuitable_shape_is_refused(name, value, least):
    good = {"rows": 8, "columns": 4, "stream_lanes": 8, "stationary_lanes": 4, "vector_lanes": 4, "vector_words": 64}
    with pytest.raises(ValueError, match=f"ArrayEngine.{name} must be at least {least}, not {value}"):
        ArrayEngine(**(good | {name: value}))
