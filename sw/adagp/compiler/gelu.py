"""GELU and its gradient on the vector unit.

Both are x·(½ + f(x)) or dy·(½ + f(x)) with an odd f that is ±½ far from zero, so f is a polynomial.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import erf, exp, pi, sqrt, tanh

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial, chebyshev

from .elementwise import runs
from .emitter import Emitter
from .finish import StoreGradient
from .functions import odd_polynomial
from .operation import INPUT, Operation, Work

LIMIT = 4.0
"""Where the polynomials end; beyond, they keep their value there, which is off by less than their error."""

TERMS = 8
"""Of a polynomial: f is off by less than 10⁻⁴ in the function and 6·10⁻⁴ in the derivative, an eighth
and a third of the rounding of an operand."""


@dataclass(frozen=True, kw_only=True)
class Gelu(Operation):
    """``nn.GELU(approximate)``: x·Φ(x), with Φ from erf ("none") or from tanh ("tanh")."""

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    image: tuple[int, int, int]
    approximate: str = "none"

    def __post_init__(self):
        if self.approximate not in ("none", "tanh"):
            raise ValueError(f"Gelu.approximate must be 'none' or 'tanh', not {self.approximate!r}")


def forward(e: Emitter, operation: Gelu, work: Work) -> None:
    x, y, room = work.inputs[0], work.output, e.scratch.bank_words // 3
    sources = [e.scratch.vector(room, 1) for _ in range(2)]
    p, z, u = (e.scratch.vector(room, bank) for bank in (0, 2, 3))
    for run in e.builder.steps(runs(e, operation.name, x.elements, sources, words=room)):
        e.load_tile(x, run, run.word)
        odd_polynomial(e, p, run.word, z, u, _gate(operation.approximate), LIMIT, run.rows)
        e.vector(p, p, run.rows, plus=0.5)
        e.vector(run.word, run.word, run.rows, b=p, times="b")
        e.store_tile(y, run)


def backward(e: Emitter, operation: Gelu, work: Work) -> None:
    (x,), dy, (target,) = work.inputs, work.gradient, work.targets
    if target is None:
        return
    room = e.scratch.bank_words // 3
    sources, gradients = ([e.scratch.vector(room, bank) for _ in range(2)] for bank in (0, 1))
    p, z, u = (e.scratch.vector(room, bank) for bank in (0, 2, 3))
    take = StoreGradient(e, target, room)
    for number, run in e.builder.steps(list(enumerate(runs(e, operation.name, x.elements, gradients, words=room)))):
        source = sources[number % 2]
        e.load_tile(x, run, source)
        e.load_tile(dy, run, run.word)
        odd_polynomial(e, p, source, z, u, _derivative(operation.approximate), LIMIT, run.rows)
        e.vector(p, p, run.rows, plus=0.5)
        e.vector(run.word, run.word, run.rows, b=p, times="b")
        take(run)


@cache
def _gate(approximate: str) -> Sequence[float]:
    """f of x·(½ + f(x))."""
    if approximate == "none":
        return _odd_fit(lambda x: erf(x / sqrt(2)) / 2)
    return _odd_fit(lambda x: tanh(_argument(x)) / 2)


@cache
def _derivative(approximate: str) -> Sequence[float]:
    """f of ½ + f(x), the derivative."""
    if approximate == "none":
        return _odd_fit(lambda x: erf(x / sqrt(2)) / 2 + x * exp(-x * x / 2) / sqrt(2 * pi))

    def derivative(x: float) -> float:
        t = tanh(_argument(x))
        return t / 2 + x / 2 * (1 - t * t) * sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x)
    return _odd_fit(derivative)


def _argument(x: float) -> float:
    return sqrt(2 / pi) * (x + 0.044715 * x ** 3)


def _odd_fit(function: Callable[[float], float]) -> Sequence[float]:
    """Coefficients of x, x³, x⁵, … that are nearly the best for the odd ``function`` up to LIMIT:
    function(√u)/√u interpolated at the Chebyshev points of u."""
    def quotient(points: np.ndarray) -> np.ndarray:
        roots = LIMIT * np.sqrt((points + 1) / 2)
        return np.array([function(root) / root for root in roots])
    fit = Chebyshev(chebyshev.chebinterpolate(quotient, TERMS - 1), domain=[0, LIMIT ** 2])
    return tuple(fit.convert(kind=Polynomial).coef.tolist())
