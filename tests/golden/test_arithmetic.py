"""Arithmetic of the golden machine against exact rational arithmetic."""

import itertools
import random

import literal
import numpy as np
import pytest

from adagp.golden import arithmetic
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Addend, Array, Function, Multiplier, Pass, Vector
from adagp.golden.array_unit import compile_array
from adagp.golden.vector_unit import compile_vector

CLASSES = [
    0x00000000, 0x00000001, 0x00400000, 0x007FFFFF, 0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000,  # around the smallest normal
    0x1FFFFFFF, 0x20000000, 0x33800000, 0x33800001, 0x34000000,  # products underflow; half an ulp of one
    0x3F000000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3FC00000, 0x40000000, 0x4B7FFFFF, 0x4B800000,
    0x42FE0000, 0x42FFFFFF, 0x43000000, 0x42FC0000, 0x42FBFFFF, 0x5F3759DF, 0x7EF311C7, 0x7E7311C7, 0x7E7311C8,
    0x5F7FFFFF, 0x5F800000, 0x7F000000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF]
CLASSES += [x | 1 << 31 for x in CLASSES]


def random_pairs(count: int, seed: int) -> list[tuple[int, int]]:
    """Any two patterns, and as often two whose exponents are near, so that sums round and cancel."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(count // 2):
        a = rng.getrandbits(32)
        near = min(max((a >> 23 & 0xFF) + rng.randint(-26, 26), 0), 255)
        pairs += [(a, rng.getrandbits(32)), (a, rng.getrandbits(1) << 31 | near << 23 | rng.getrandbits(23))]
    return pairs


PAIRS = list(itertools.product(CLASSES, repeat=2)) + random_pairs(4000, seed=1)
A, B = (np.array(column, np.uint32).view(np.float32) for column in zip(*PAIRS))


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def same(got: np.ndarray, want: list[int]) -> None:
    got = got.view(np.uint32)
    wrong = np.flatnonzero(got != np.array(want, np.uint32))
    assert wrong.size == 0, [tuple(f"{x:#010x}" for x in (*PAIRS[i], got[i], want[i])) for i in wrong[:5]]


def test_products_round_once_and_flush():
    same(arithmetic.canonical(arithmetic.multiply(A, B)), [literal.multiply(a, b) for a, b in PAIRS])


def test_sums_round_once_and_flush():
    same(arithmetic.canonical(arithmetic.add(A, B)), [literal.add(a, b) for a, b in PAIRS])


def test_a_product_that_rounds_up_to_the_smallest_normal_is_kept():
    a, b = (np.array([x], np.uint32).view(np.float32) for x in (0x00FFFFFF, 0x3F000000))
    assert arithmetic.multiply(a, b).view(np.uint32)[0] == 0x00800000


FUNCTIONS = {
    Function.MAXIMUM: literal.maximum, Function.MINIMUM: literal.minimum,
    Function.RECIPROCAL: lambda a, b: literal.reciprocal(a), Function.RSQRT: lambda a, b: literal.rsqrt(a),
    Function.EXP2: lambda a, b: literal.exp2(a), Function.EXPONENT: lambda a, b: literal.exponent(a),
    Function.SIGNIFICAND: lambda a, b: literal.significand(a),
    Function.GATE: lambda a, b: b if not literal.is_nan(a) and literal.value(a) > 0 else 0,
    Function.EQUAL: lambda a, b: 0x3F800000 if literal.value(a) == literal.value(b) else 0}


def test_every_function_has_a_second_opinion():
    assert FUNCTIONS.keys() == set(Function) - {Function.ARITHMETIC, Function.REPORT}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_functions_of_the_vector_unit(function):
    instruction = Vector(function=function, addend=Addend.B, a=0, d=0)
    same(arithmetic.evaluate(instruction, A, B), [FUNCTIONS[function](a, b) for a, b in PAIRS])


@pytest.mark.parametrize("multiplier", Multiplier)
@pytest.mark.parametrize("addend", Addend)
def test_every_form_of_arithmetic(multiplier, addend):
    rng = random.Random(int(multiplier) * 3 + int(addend))
    for flags in itertools.product((0, 1), repeat=3):
        instruction = Vector(multiplier=multiplier, addend=addend, a=0, d=0, s=rng.choice(CLASSES), t=rng.choice(CLASSES),
                             **dict(zip(("negate_product", "negate_addend", "relu"), flags)))
        chosen = rng.sample(range(len(PAIRS)), 400)
        got = arithmetic.evaluate(instruction, A[chosen], B[chosen]).view(np.uint32).tolist()
        want = [literal.arithmetic(instruction, *PAIRS[i]) for i in chosen]
        assert got == want, (flags, next((PAIRS[i], g, w) for i, g, w in zip(chosen, got, want) if g != w))


def test_estimates_are_close_enough_for_newton_steps():
    x = np.geomspace(1e-30, 1e30, 5000).astype(np.float32)
    assert np.abs(arithmetic.reciprocal(x) * x - 1).max() < 0.13
    assert np.abs(arithmetic.rsqrt(x) * np.sqrt(x) - 1).max() < 0.04


def test_rounding_to_operands():
    patterns = CLASSES + [a for a, _ in random_pairs(4000, seed=2)] + [
        high << 16 | low for high in (0x3F80, 0x3F81, 0x7F7F, 0xFF7F, 0x0080) for low in (0x7FFF, 0x8000, 0x8001)]
    got = arithmetic.round_to_operand(np.array(patterns, np.uint32)).tolist()
    assert got == [literal.round_to_operand(x) for x in patterns]


def test_widening_is_exact_for_every_operand():
    operands = np.arange(1 << 16, dtype=np.uint16)
    assert (arithmetic.widen(operands).view(np.uint32) == operands.astype(np.uint32) << 16).all()


CONFIG = AcceleratorConfig(rows=5, columns=3, bus_bits=64, stream_elements=256, stationary_elements=256, vector_words=64)


def operands(rng: random.Random, count: int, lowest: int, highest: int, special: float) -> np.ndarray:
    """Operand bits with biased exponents in a range; a share of zeros, subnormals, infinities, NaNs."""
    return np.array([
        rng.choice([0, 0x8000, 1, 0x8055, 0x007F, 0x7F80, 0xFF80, 0x7FC1]) if rng.random() < special
        else rng.getrandbits(1) << 15 | rng.randint(lowest, highest) << 7 | rng.getrandbits(7) for _ in range(count)], np.uint16)


@pytest.mark.parametrize("x_range, w_range, special", [
    ((120, 130), (120, 130), 0), ((120, 130), (120, 130), 0.2),
    ((70, 72), (70, 72), 0), ((71, 73), (71, 73), 0), ((68, 74), (60, 66), 0), ((1, 20), (120, 140), 0.1),
    ((188, 190), (188, 190), 0), ((189, 192), (189, 192), 0), ((1, 254), (1, 254), 0.02)],
    ids=lambda value: str(value))
@pytest.mark.parametrize("accumulate", [0, 1])
def test_column_sums_on_both_sides_of_every_exponent_bound(x_range, w_range, special, accumulate):
    """Exponents that sum to 142 are the least whose sums need no flushing; 380 may overflow."""
    rng = random.Random(f"{x_range}{w_range}{special}{accumulate}")
    for trial in range(6):
        machine = literal.LiteralMachine(CONFIG, b"")
        stream, stationary = operands(rng, 256, *x_range, special), operands(rng, 256, *w_range, special)
        old = np.array([rng.choice(CLASSES) if trial % 2 else 0x3F800000 | rng.getrandbits(24)
                        for _ in range(CONFIG.vector_elements)], np.uint32)
        instruction = Array(tag=Pass.FORWARD, accumulate=accumulate, columns=rng.choice([2, 3]), stream=0,
                            stationary=0, accumulator=0, stream_count0=4, row_count0=rng.choice([1, 5, 7, 12]),
                            stream_stride0=13, chunk_stride=5, row_stride0=3)
        machine.stream, machine.stationary, machine.vector = stream.tolist(), stationary.tolist(), old.tolist()
        machine.execute(instruction, [])
        vector = old.view(np.float32).reshape(CONFIG.vector_words, -1).copy()
        compile_array(instruction, CONFIG)(stream, stationary, vector)
        assert vector.view(np.uint32).ravel().tolist() == machine.vector


@pytest.mark.parametrize("columns, vectors", [(1, 1), (1, 2), (2, 1), (1, 700), (3, 300)])
def test_long_sums_keep_the_order_of_rows_and_tiles(columns, vectors):
    """Small and large instructions are summed in different ways; both must go from row 0 down."""
    config = AcceleratorConfig(rows=20, columns=3, bus_bits=64, stream_elements=32768, stationary_elements=32768,
                               vector_words=1024)
    rng = np.random.default_rng(columns * vectors)
    stream, stationary = ((rng.standard_normal(32768) * 2.0 ** rng.integers(-6, 7, 32768)).astype(np.float32)
                          .view(np.uint32) >> 16 for _ in range(2))
    stream, stationary = stream.astype(np.uint16), stationary.astype(np.uint16)
    instruction = Array(tag=Pass.FORWARD, columns=columns, stream=0, stationary=0, accumulator=0,
                        stream_count0=vectors, row_count0=50, stream_stride0=40, chunk_stride=20, row_stride0=3)
    vector = np.zeros((config.vector_words, config.vector_lanes), np.float32)
    compile_array(instruction, config)(stream, stationary, vector)
    x, w = arithmetic.widen(stream), arithmetic.widen(stationary)
    for p, c in itertools.product(sorted({0, vectors // 2, vectors - 1}), range(columns)):
        total = None
        for chunk in range(3):
            tile = np.float32(0)
            for r in range(20):
                n = chunk * 20 + r
                product = x[chunk * 20 + p * 40 + r] * w[3 * n + c] if n < 50 else np.float32(0)
                tile = np.float32(tile + product)
            total = tile if total is None else np.float32(total + tile)
        assert vector[p, c].view(np.uint32) == total.view(np.uint32)


def test_streams_may_run_backwards_without_a_copy():
    """One chunk and one loop: the operands are a reversed view of the memory."""
    config = AcceleratorConfig(rows=2, columns=4, bus_bits=64, stream_elements=8192, vector_words=4096)
    stream, stationary = np.full(8192, 0x3F80, np.uint16), np.full(32768, 0x3F80, np.uint16)
    stream[::2] = 0x4000 + np.arange(4096) % 64
    vector = np.zeros((config.vector_words, config.vector_lanes), np.float32)
    compile_array(Array(tag=Pass.FORWARD, columns=4, stream=8190, stationary=0, accumulator=0, stream_count0=4096,
                        row_count0=2, stream_stride0=-2), config)(stream, stationary, vector)
    assert np.array_equal(vector[:, 3], arithmetic.widen(stream[::2])[::-1] + 1)


def test_a_word_may_be_source_and_target_of_the_same_index():
    instruction = Vector(addend=Addend.B, a=0, b=0, d=0, count0=4, a_stride0=1, b_stride0=1, d_stride0=1)
    vector = np.arange(CONFIG.vector_elements, dtype=np.float32).reshape(CONFIG.vector_words, -1)
    want = vector.copy()
    want[:4] *= 2
    compile_vector(instruction, CONFIG)(vector, np.zeros(128, np.uint32))
    assert (vector == want).all()
