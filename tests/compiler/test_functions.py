"""Elementary functions on the golden machine against float64."""

import numpy as np
import pytest

from adagp.compiler.emitter import Emitter
from adagp.compiler.functions import exponential, fold, logarithm, odd_polynomial, reciprocal, rsqrt
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Function

CONFIG = AcceleratorConfig(rows=4, columns=8)
WORDS = 128
X, Y, T, U, V = (index * WORDS for index in range(5))


def computed(emit, values: np.ndarray) -> np.ndarray:
    """The words at Y after ``emit(emitter)`` with ``values`` at X, as float64."""
    e = Emitter(CONFIG)
    emit(e)
    program = e.builder.finish()
    machine = GoldenMachine(CONFIG, 1 << 16)
    machine.vector[X:X + WORDS] = values.reshape(WORDS, -1)
    machine.memory[:len(program)] = np.frombuffer(program, np.uint8)
    for register, value in (("PROGRAM[3].SIZE", len(program)), ("MODE", 1), ("WINDOW_LAST", (1 << 16) - 1)):
        machine.write(register, value)
    machine.run()
    return np.asarray(machine.vector[Y:Y + WORDS], dtype=np.float64).reshape(-1)


def positives(low: float, high: float) -> np.ndarray:
    """Evenly spread over exponents and significands."""
    count = WORDS * CONFIG.vector_lanes
    return np.exp2(np.random.default_rng(3).uniform(low, high, count)).astype(np.float32)


@pytest.mark.parametrize("sign", (1, -1))
def test_reciprocal(sign):
    x = sign * positives(-120, 120)
    y = computed(lambda e: reciprocal(e, Y, X, T, WORDS), x)
    assert np.abs(y * x.astype(np.float64) - 1).max() < 2 ** -22


def test_rsqrt():
    x = positives(-120, 120)
    y = computed(lambda e: rsqrt(e, Y, X, T, WORDS), x)
    assert np.abs(y * np.sqrt(x.astype(np.float64)) - 1).max() < 2 ** -22


@pytest.mark.parametrize("for_operand, bound", [(False, 2 ** -20), (True, 2 ** -14)])
def test_exponential(for_operand, bound):
    x = np.random.default_rng(4).uniform(-87, 88, WORDS * CONFIG.vector_lanes).astype(np.float32)
    x[:4] = 0, -0.0, 1, -1
    y = computed(lambda e: exponential(e, Y, X, T, WORDS, for_operand=for_operand), x)
    assert np.abs(y / np.exp(x.astype(np.float64)) - 1).max() < bound


def test_exponential_of_very_negative_is_next_to_nothing():
    y = computed(lambda e: exponential(e, Y, X, T, WORDS), np.full(WORDS * CONFIG.vector_lanes, -1e30, np.float32))
    assert (0 <= y).all() and (y < 1e-37).all()


def test_logarithm():
    x = positives(-120, 120)
    x[:3] = 1, 2, 0.5
    y = computed(lambda e: logarithm(e, Y, X, T, U, V, WORDS), x)
    want = np.log(x.astype(np.float64))
    assert (np.abs(y - want) < 2 ** -22 + 2 ** -22 * np.abs(want)).all()


@pytest.mark.parametrize("coefficients", [(1.0, -0.25), (0.5, -0.0625, 0.003, -0.0001)])
def test_odd_polynomial(coefficients):
    x = np.random.default_rng(5).uniform(-6, 6, WORDS * CONFIG.vector_lanes).astype(np.float32)
    y = computed(lambda e: odd_polynomial(e, Y, X, T, U, coefficients, 4.0, WORDS), x)
    z = x.astype(np.float64).clip(-4, 4)
    want = sum(c * z ** (2 * k + 1) for k, c in enumerate(coefficients))
    assert np.abs(y - want).max() < 1e-5


@pytest.mark.parametrize("groups", (1, 2, 3, 5, 8))
@pytest.mark.parametrize("function, numpy_function", [(Function.ARITHMETIC, np.sum), (Function.MAXIMUM, np.max)])
def test_fold(groups, function, numpy_function):
    size = WORDS // 8
    x = np.random.default_rng(groups).integers(-50, 50, WORDS * CONFIG.vector_lanes).astype(np.float32)
    y = computed(lambda e: fold(e, Y, X, groups, size, T, function=function), x)
    blocks = x[:groups * size * CONFIG.vector_lanes].reshape(groups, -1)
    assert np.array_equal(y[:blocks.shape[1]], numpy_function(blocks, axis=0))
