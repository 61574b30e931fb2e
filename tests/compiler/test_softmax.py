"""Softmax alone against autograd."""

import pytest
import torch

from adagp.compiler import softmax
from adagp.compiler.program import CompileError
from adagp.compiler.softmax import Softmax

from .standalone import GRADIENT, OUTPUT, SMALL, WIDE, Standalone, assert_close, samples


@pytest.mark.parametrize("config, images, image", [
    (SMALL, 1, (1, 1, 3)), (SMALL, 2, (1, 50, 5)), (SMALL, 1, (4, 9, 17)), (SMALL, 3, (1, 40, 64)),
    (WIDE, 2, (1, 5, 17)), (WIDE, 2, (1, 20, 5)), (WIDE, 1, (1, 7, 112))])
def test_step_is_within_bounds_of_autograd(config, images, image):
    x, dy = samples((images, *image), 1, deviation=3), samples((images, *image), 2)
    got = Standalone(config, softmax, Softmax(name="softmax", image=image), images).run(x=x, dy=dy)
    x.requires_grad_()
    y = x.softmax(-1)
    y.backward(dy)
    assert_close(got["y"], y.detach(), OUTPUT / 2)
    assert_close(got["dx"], x.grad, GRADIENT)


def test_large_logits_do_not_overflow():
    x = torch.tensor([300.0, 299.0, -300.0]).reshape(1, 1, 1, 3).bfloat16().float()
    got = Standalone(SMALL, softmax, Softmax(name="softmax", image=(1, 1, 3)), 1).run(x=x, dy=torch.ones(1, 1, 1, 3))
    assert_close(got["y"], x.softmax(-1), OUTPUT / 2)


def test_row_that_does_not_fit_is_refused():
    with pytest.raises(CompileError, match="softmax: one row of 1000 features does not fit into AcceleratorConfig"):
        Standalone(SMALL, softmax, Softmax(name="softmax", image=(1, 2, 1000)), 1)
