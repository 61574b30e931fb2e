"""Average pooling alone against autograd."""

import pytest
from torch.nn import functional

from adagp.compiler import average_pooling
from adagp.compiler.average_pooling import AveragePool
from adagp.compiler.operation import Activation
from adagp.compiler.program import CompileError

from .standalone import GRADIENT, OUTPUT, SMALL, WIDE, Standalone, assert_close, gradient_at, samples


def check(config, operation: AveragePool, images: int, want) -> None:
    """``want`` pools (images, channels, height, width)."""
    x, dy = samples((images, *operation.image), 1, mean=0.5), samples((images, *operation.output), 2)
    got = Standalone(config, average_pooling, operation, images).run(x=x, dy=dy)
    x.requires_grad_()
    y = want(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    y.backward(dy)
    assert_close(got["y"], y.detach(), OUTPUT / 2)
    assert_close(got["dx"], x.grad, GRADIENT / 6)


@pytest.mark.parametrize("count_include_pad", (True, False))
@pytest.mark.parametrize("config, images, image, kernel, stride, padding", [
    (SMALL, 1, (4, 4, 3), (2, 2), (2, 2), (0, 0)),
    (SMALL, 3, (7, 5, 5), (3, 3), (1, 1), (1, 1)),
    (SMALL, 2, (7, 9, 17), (3, 2), (2, 3), (1, 0)),
    (SMALL, 2, (30, 26, 3), (3, 3), (1, 1), (1, 1)),
    (SMALL, 1, (33, 31, 2), (2, 2), (3, 3), (1, 1)),
    (SMALL, 2, (11, 50, 3), (5, 5), (2, 2), (2, 2)),
    (SMALL, 5, (6, 6, 4), (4, 4), (2, 2), (2, 2)),
    (WIDE, 2, (9, 8, 33), (3, 5), (3, 2), (0, 2)),
    (WIDE, 1, (8, 60, 20), (3, 3), (1, 1), (1, 1))])
def test_step_is_within_bounds_of_autograd(count_include_pad, config, images, image, kernel, stride, padding):
    operation = AveragePool(name="pool", image=image, kernel=kernel, stride=stride, padding=padding,
                            count_include_pad=count_include_pad)
    check(config, operation, images, lambda x: functional.avg_pool2d(
        x, kernel, stride, padding, count_include_pad=count_include_pad))


@pytest.mark.parametrize("config, images, image, size", [
    (SMALL, 2, (6, 4, 5), (3, 2)), (SMALL, 3, (5, 7, 3), (1, 1)), (SMALL, 1, (20, 30, 5), (1, 1)),
    (SMALL, 70, (2, 2, 3), (1, 1)), (SMALL, 2, (24, 30, 3), (2, 3)), (WIDE, 2, (7, 7, 40), (7, 7))])
def test_adaptive_step_is_within_bounds_of_autograd(config, images, image, size):
    check(config, AveragePool.adaptive("pool", ("input",), image, size), images,
          lambda x: functional.adaptive_avg_pool2d(x, size))


def test_gradient_passes_the_activation_before():
    x = samples((2, 8, 8, 5), 3).relu()
    dy, addend = samples((2, 4, 4, 5), 4), samples(x.shape, 5)
    operation = AveragePool(name="pool", image=(8, 8, 5), kernel=(2, 2), stride=(2, 2))
    got = Standalone(SMALL, average_pooling, operation, 2, activation=Activation(), accumulate=True).run(
        x=x, dy=dy, addend=addend)
    leaf = x.clone().requires_grad_()
    functional.avg_pool2d(leaf.permute(0, 3, 1, 2), 2).backward(dy.permute(0, 3, 1, 2))
    assert_close(got["dx"], (leaf.grad + addend) * gradient_at(Activation(), x), GRADIENT / 6)


def test_uneven_adaptive_windows_are_refused():
    with pytest.raises(CompileError, match=r"pool: adaptive .* that divides .*\(7, 8\), not \(2, 2\)"):
        AveragePool.adaptive("pool", ("input",), (7, 8, 3), (2, 2))


def test_row_of_pixels_that_does_not_fit_is_refused():
    with pytest.raises(CompileError, match="pool: one row of 500 pixels does not fit"):
        Standalone(SMALL, average_pooling, AveragePool(name="pool", image=(4, 500, 3), kernel=(2, 2), stride=(2, 2)), 1)
