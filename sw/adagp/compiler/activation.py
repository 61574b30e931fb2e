"""Piecewise linear activations on the vector unit, and the gate of their derivative."""

from math import inf

from adagp.spec.isa import Function

from .emitter import Emitter
from .operation import Activation


def rectifies(activation: Activation | None) -> bool:
    """Whether it begins with the maximum with +0 that an ARITHMETIC instruction takes on the way."""
    return activation is not None and not activation.slope


def activate(e: Emitter, activation: Activation | None, y: int, words: int, temporary: int | None = None, *,
             rectified: bool = False) -> None:
    """Applies ``activation`` in place, or with ``rectified`` what comes after the maximum with +0; one
    with a slope needs ``words`` words at ``temporary``."""
    if activation is None:
        return
    if activation.slope:
        e.vector(temporary, y, words, times=activation.slope)
        e.vector(y, y, words, b=temporary, plus="b", function=Function.MAXIMUM)
    elif not rectified:
        e.vector(y, y, words, function=Function.MAXIMUM, plus=0.0)
    if activation.most < inf:
        e.vector(y, y, words, function=Function.MINIMUM, plus=activation.most)


def gate(e: Emitter, activation: Activation | None, gradient: int, output: int, words: int,
         temporary: int | None = None) -> None:
    """Multiplies ``gradient`` in place by the derivative at the activation's ``output``.

    Overwrites ``temporary``, by default ``output`` itself, unless the activation is a ReLU.
    """
    if activation is None:
        return
    temporary = output if temporary is None else temporary
    if activation.slope:
        e.vector(temporary, output, words, function=Function.GATE, plus=1.0)
        e.vector(temporary, temporary, words, function=Function.MAXIMUM, plus=activation.slope)
        e.vector(gradient, gradient, words, b=temporary, times="b")
        return
    e.vector(gradient, output, words, b=gradient, plus="b", function=Function.GATE)
    if activation.most < inf:
        e.vector(temporary, output, words, times=-1.0, plus=activation.most)
        e.vector(gradient, temporary, words, b=gradient, plus="b", function=Function.GATE)
