"""Elementary functions as vector programs: estimates refined by ordinary arithmetic.

All work on ``words`` consecutive words. ``y`` receives the result, ``t`` is overwritten.
"""

from collections.abc import Sequence
from math import log, log2

from adagp.spec.isa import Function

from .emitter import Emitter

_ROUND = 1.5 * 2 ** 23
"""Adding and subtracting it rounds a float32 below 2**22 to the nearest integer."""

# e^r on |r| <= ln(2)/2, Taylor to r^6: relative error below 2e-7
_EXP = (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0)

# log(1 + f) = 2·artanh(f / (2 + f)), as s·(2 + 2/3 s² + 2/5 s⁴ + …) with |s| <= 0.172 after centring
_ARTANH = (2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0)


def reciprocal(e: Emitter, y: int, x: int, t: int, words: int) -> None:
    """y = 1/x for normal x with normal 1/x, relative error below 2⁻²². y must not be x."""
    e.vector(y, x, words, function=Function.RECIPROCAL)
    for _ in range(3):  # 5 % → 0.26 % → 7·10⁻⁶ → rounding
        e.vector(t, x, words, b=y, times="b", plus=2.0, negate_product=True)
        e.vector(y, y, words, b=t, times="b")


def rsqrt(e: Emitter, y: int, x: int, t: int, words: int, iterations: int = 3) -> None:
    """y = 1/√x for normal x > 0, relative error below 2⁻²² after 3 ``iterations``, 5·10⁻⁶ after 2.
    ``x`` is overwritten; y must not be x."""
    e.vector(y, x, words, function=Function.RSQRT)
    e.vector(x, x, words, times=-0.5)
    for _ in range(iterations):  # 3.4 % → 0.18 % → 5·10⁻⁶ → rounding
        e.vector(t, y, words, b=y, times="b")
        e.vector(t, t, words, b=x, times="b", plus=1.5)
        e.vector(y, y, words, b=t, times="b")


def exponential(e: Emitter, y: int, x: int, n: int, words: int, *, for_operand: bool = False) -> None:
    """y = e^x for x <= 88, relative error below 2⁻²⁰; x below −87 counts as −87. ``x`` and ``n`` are
    overwritten. A y that is stored as an operand may be had faster, with a relative error below 2⁻¹⁴."""
    e.vector(x, x, words, function=Function.MAXIMUM, plus=-87.0)
    e.vector(n, x, words, times=log2(2.718281828459045), plus=_ROUND)
    e.vector(n, n, words, plus=-_ROUND)
    high = log(2) if for_operand else 0.693359375  # the upper bits of ln 2, so that n·high is exact
    e.vector(x, n, words, b=x, times=-high, plus="b")
    if not for_operand:
        e.vector(x, n, words, b=x, times=high - log(2), plus="b")
    e.vector(n, n, words, function=Function.EXP2)
    first, second, *rest = _EXP[2:] if for_operand else _EXP
    e.vector(y, x, words, times=first, plus=second)
    for coefficient in rest:
        e.vector(y, y, words, b=x, times="b", plus=coefficient)
    e.vector(y, y, words, b=n, times="b")


def logarithm(e: Emitter, y: int, x: int, t: int, u: int, v: int, words: int) -> None:
    """y = ln x for normal x > 0, absolute error below 2⁻²² plus relative error below 2⁻²².
    ``x``, ``t``, ``u`` and ``v`` are overwritten; y must be none of them."""
    centre = 2 ** 0.5
    e.vector(t, x, words, function=Function.SIGNIFICAND)
    e.vector(x, x, words, function=Function.EXPONENT)
    e.vector(t, t, words, times=1 / centre)
    e.vector(u, t, words, plus=1.0)
    e.vector(t, t, words, plus=-1.0)
    reciprocal(e, y, u, v, words)
    e.vector(t, t, words, b=y, times="b")
    e.vector(u, t, words, b=t, times="b")
    e.vector(y, u, words, times=_ARTANH[0], plus=_ARTANH[1])
    for coefficient in _ARTANH[2:]:
        e.vector(y, y, words, b=u, times="b", plus=coefficient)
    e.vector(y, y, words, b=t, times="b", plus=log(centre))
    e.vector(y, x, words, b=y, times=log(2), plus="b")


def odd_polynomial(e: Emitter, y: int, x: int, z: int, u: int, coefficients: Sequence[float], limit: float,
                   words: int) -> None:
    """y = Σ coefficients[k]·z^(2k+1) with z = x clamped to ±limit; two or more coefficients. ``z`` and
    ``u`` are overwritten; y may be x."""
    e.vector(z, x, words, function=Function.MINIMUM, plus=limit)
    e.vector(z, z, words, function=Function.MAXIMUM, plus=-limit)
    e.vector(u, z, words, b=z, times="b")
    e.vector(y, u, words, times=coefficients[-1], plus=coefficients[-2])
    for coefficient in coefficients[-3::-1]:
        e.vector(y, y, words, b=u, times="b", plus=coefficient)
    e.vector(y, y, words, b=z, times="b")


def fold(e: Emitter, target: int, source: int, groups: int, size: int, temporary: int, *,
         function: Function = Function.ARITHMETIC, accumulate: bool = False) -> None:
    """Sum (or MAXIMUM) over ``groups`` blocks of ``size`` words, by halving.

    ``temporary`` has room for half of the blocks; with ``accumulate`` the result is added to
    ``target`` instead of written to it. The source stays.
    """
    def combine(d, a, b, words):
        e.vector(d, a, words, b=b, plus="b", function=function)
    while groups > 1:
        half = groups // 2
        combine(temporary, source, source + half * size, half * size)
        if groups % 2:
            combine(temporary, temporary, source + (groups - 1) * size, size)
        source, groups = temporary, half
    if accumulate:
        combine(target, target, source, size)
    elif target != source:
        e.vector(target, source, size)


def lane_sum(e: Emitter, target: int, source: int, words: int, zero: int, *, lanes: int | None = None) -> None:
    """Every lane of a target word becomes the sum of the first ``lanes`` (all) lanes of its source word.
    ``zero`` is a word of zeros; target must not be source."""
    e.vector(target, zero, ((words, 1, 0, 1),), b=source, plus="b", broadcast=True, lane=0)
    for lane in range(1, lanes or e.config.vector_lanes):
        e.vector(target, target, words, b=source, plus="b", broadcast=True, lane=lane)
