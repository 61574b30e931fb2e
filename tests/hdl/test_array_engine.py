"""The array engine against the text of the Array instruction."""

import numpy as np
import pytest

from adagp.spec.isa import Array, Pass
from adagp_hdl.array.accumulator import Accumulator
from adagp_hdl.array.engine import ArrayEngine
from adagp_tb.array_bench import compiled_array
from adagp_tb.array_reference import compare, compare_random, wild_operands

SEED = 20234
ELEMENTS, WORDS = 1024, 128
SHAPES = pytest.mark.parametrize("rows, columns", [(2, 2), (3, 5), (4, 4), (8, 8)])


def check(rows, columns, orders, generator):
    return compare(compiled_array(rows, columns, ELEMENTS, WORDS), orders, generator, seed=SEED)


@SHAPES
@pytest.mark.parametrize("stall", [0.0, 0.9, 0.99], ids=["flowing", "stalled", "starved"])
def test_random_instructions(rows, columns, stall):
    for seed in range(SEED, SEED + 12):
        compare_random(compiled_array(rows, columns, ELEMENTS, WORDS), seed, stall=stall)


@SHAPES
def test_numbers_of_every_class(rows, columns):
    classes = set()
    for seed in range(SEED, SEED + 6):
        got = compare_random(compiled_array(rows, columns, ELEMENTS, WORDS), seed, orders=6, source=wild_operands)
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
