"""Layer normalisation alone against autograd."""

import pytest
import torch
from torch.nn import functional

from adagp.compiler import layer_norm
from adagp.compiler.layer_norm import LayerNorm
from adagp.compiler.program import CompileError

from .standalone import GRADIENT, OPTIMIZER, OUTPUT, SMALL, WIDE, Standalone, assert_close, samples


@pytest.mark.parametrize("weight, bias", [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("config, images, image", [
    (SMALL, 1, (1, 1, 3)), (SMALL, 2, (1, 50, 5)), (SMALL, 2, (3, 5, 17)), (SMALL, 3, (1, 40, 32)),
    (WIDE, 2, (1, 9, 17)), (WIDE, 2, (1, 70, 16)), (WIDE, 1, (1, 11, 128))])
def test_step_is_within_bounds_of_autograd(weight, bias, config, images, image):
    operation = LayerNorm(name="norm", image=image, weight=weight, bias=bias)
    x, dy = samples((images, *image), 1, mean=3), samples((images, *image), 2)
    before = {name: samples(image[2:], seed, mean=1) for seed, name in enumerate(operation.parameters)}
    momenta = {f"{name}.momentum": samples(image[2:], 7) for name in before}
    got = Standalone(config, layer_norm, operation, images).run(x=x, dy=dy, **before, **momenta)
    leaves = {name: value.clone().requires_grad_() for name, value in before.items()}
    x.requires_grad_()
    y = functional.layer_norm(x, image[2:], leaves.get("weight"), leaves.get("bias"), operation.eps)
    y.backward(dy)
    assert_close(got["y"], y.detach(), OUTPUT / 2)
    assert_close(got["dx"], x.grad, GRADIENT)
    for name, leaf in leaves.items():
        momentum = OPTIMIZER.momentum * momenta[f"{name}.momentum"] + leaf.grad
        assert_close(got[f"{name}.momentum"], momentum, 1e-4)
        assert_close(got[name], before[name] - OPTIMIZER.lr * momentum, 1e-4)


def test_parameters_are_trained_without_an_input_gradient():
    x, dy = samples((2, 1, 9, 8), 1), samples((2, 1, 9, 8), 2)
    got = Standalone(SMALL, layer_norm, LayerNorm(name="norm", image=(1, 9, 8)), 2, want_input_gradient=False).run(
        x=x, dy=dy, weight=torch.ones(8), dx=torch.full_like(x, 7.0))
    assert_close(got["bias.momentum"], dy.sum((0, 1, 2)), 1e-4)
    assert (got["dx"] == 7).all()


def test_row_that_does_not_fit_is_refused():
    with pytest.raises(CompileError, match="norm: one row of 2000 features does not fit into AcceleratorConfig"):
        Standalone(SMALL, layer_norm, LayerNorm(name="norm", image=(1, 2, 2000)), 1)
