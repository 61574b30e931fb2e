"""The text of the Array instruction, written in numpy, for comparison with the array engine."""

import numpy as np

from adagp.spec.isa import Array, Pass

from .array_bench import ArrayRun, CompiledArray


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


def random_order(generator, rows, columns) -> Array:
    """Loops of any shape and stride, addresses that wrap."""
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


def compare(array: CompiledArray, orders, generator, *, source=operands, stall=0.0, seed=1) -> ArrayRun:
    """Runs ``orders`` on ``array``, with memories of which ``source`` makes the operands; AssertionError if a bit of the
    vector memory or a count of multiply-accumulates is not what the text says."""
    stream, stationary = source(generator, array.elements), source(generator, array.elements)
    if source is operands:
        vector = generator.normal(size=(array.words, array.lanes)).astype(np.float32).view(np.uint32)
    else:
        vector = flushed(generator.integers(0, 1 << 32, (array.words, array.lanes)))
    got = array(orders, stream, stationary, vector, stall_probability=stall, seed=seed)
    macs = [0] * 4
    for order in orders:
        macs[order.tag] += execute(order, array.rows, array.columns, stream, stationary, vector)
    wrong = np.argwhere(got.vector != vector)
    assert not wrong.size, (f"{len(wrong)} values differ, first at word and lane {wrong[0]}: "
                            f"{got.vector[tuple(wrong[0])]:#010x}, not {vector[tuple(wrong[0])]:#010x} (seed {seed})")
    assert got.macs == tuple(macs)
    return got


def compare_random(array: CompiledArray, seed: int, *, orders: int = 10, source=operands, stall: float = 0.0) -> ArrayRun:
    """:func:`compare` with random instructions."""
    generator = np.random.default_rng(seed)
    return compare(array, [random_order(generator, array.rows, array.columns) for _ in range(orders)], generator,
                   source=source, stall=stall, seed=seed)
