"""GELU alone against autograd, and its polynomials against their stated errors."""

import pytest
import torch
from torch.nn import functional

from adagp.compiler import gelu
from adagp.compiler.gelu import Gelu
from adagp.compiler.operation import Activation

from .standalone import GRADIENT, OUTPUT, SMALL, WIDE, Standalone, assert_close, gradient_at, samples


@pytest.mark.parametrize("approximate", ("none", "tanh"))
@pytest.mark.parametrize("config, images, image", [
    (SMALL, 1, (1, 1, 3)), (SMALL, 3, (5, 7, 17)), (WIDE, 2, (1, 33, 5)), (WIDE, 1, (1, 40, 64))])
def test_step_is_within_bounds_of_autograd(approximate, config, images, image):
    x, dy = samples((images, *image), 1, deviation=2), samples((images, *image), 2)
    got = Standalone(config, gelu, Gelu(name="gelu", image=image, approximate=approximate), images).run(x=x, dy=dy)
    x.requires_grad_()
    y = functional.gelu(x, approximate=approximate)
    y.backward(dy)
    assert_close(got["y"], y.detach(), OUTPUT / 2)
    assert_close(got["dx"], x.grad, GRADIENT / 4)


@pytest.mark.parametrize("approximate", ("none", "tanh"))
def test_polynomials_keep_their_stated_error(approximate):
    x = torch.linspace(-12, 12, 100_001, dtype=torch.float64, requires_grad=True)
    y = functional.gelu(x, approximate=approximate)
    y.sum().backward()

    def half(coefficients):
        z = x.detach().clamp(-gelu.LIMIT, gelu.LIMIT)
        return 0.5 + sum(c * z ** (2 * k + 1) for k, c in enumerate(coefficients))
    assert (half(gelu._gate(approximate)) * x - y).abs().div(x.abs().clamp_min(1e-9)).max() < 1e-4
    assert (half(gelu._derivative(approximate)) - x.grad).abs().max() < 6e-4


def test_gradient_passes_the_activation_before():
    x = samples((2, 3, 5, 8), 3).relu()
    dy, addend = samples(x.shape, 4), samples(x.shape, 5)
    got = Standalone(SMALL, gelu, Gelu(name="gelu", image=(3, 5, 8)), 2, activation=Activation(),
                     accumulate=True).run(x=x, dy=dy, addend=addend)
    leaf = x.clone().requires_grad_()
    functional.gelu(leaf).backward(dy)
    assert_close(got["dx"], (leaf.grad + addend) * gradient_at(Activation(), x), GRADIENT / 4)


def test_unknown_approximation_is_refused():
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', not 'sigmoid'"):
        Gelu(name="gelu", image=(1, 1, 1), approximate="sigmoid")
