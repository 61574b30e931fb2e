"""Batch normalisation alone against autograd."""

import pytest
import torch
from torch.nn import functional

from adagp.compiler import batch_norm
from adagp.compiler.batch_norm import BatchNorm
from adagp.compiler.operation import Activation
from adagp.compiler.program import CompileError

from .standalone import GRADIENT, OPTIMIZER, OUTPUT, SMALL, WIDE, Standalone, assert_close, gradient_at, samples

SHAPES = [(SMALL, 2, (1, 1, 3)), (SMALL, 3, (5, 7, 3)), (SMALL, 1, (9, 7, 17)), (SMALL, 2, (20, 20, 5)),
          (SMALL, 2, (6, 6, 40)), (WIDE, 2, (5, 3, 17)), (WIDE, 4, (8, 8, 32)), (WIDE, 2, (25, 24, 32)),
          (WIDE, 2, (3, 3, 256))]


def channels_first(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)


@pytest.mark.parametrize("affine", (True, False))
@pytest.mark.parametrize("config, images, image", SHAPES)
def test_step_is_within_bounds_of_autograd(affine, config, images, image):
    operation = BatchNorm(name="norm", image=image, affine=affine, momentum=0.2)
    x, dy = samples((images, *image), 1, mean=2), samples((images, *image), 2)
    before = {name: samples(image[2:], seed, mean=1) for seed, name in enumerate(operation.parameters)}
    momenta = {f"{name}.momentum": samples(image[2:], 7) for name in before}
    running = {"running_mean": samples(image[2:], 8), "running_var": samples(image[2:], 9).abs()}
    got = Standalone(config, batch_norm, operation, images).run(x=x, dy=dy, **before, **momenta, **running)
    leaves = {name: value.clone().requires_grad_() for name, value in before.items()}
    wanted = {name: value.clone() for name, value in running.items()}
    x.requires_grad_()
    y = functional.batch_norm(channels_first(x), wanted["running_mean"], wanted["running_var"], leaves.get("weight"),
                              leaves.get("bias"), training=True, momentum=0.2, eps=operation.eps)
    y.backward(channels_first(dy))
    assert_close(got["y"], y.detach().permute(0, 2, 3, 1), OUTPUT / 2)
    assert_close(got["dx"], x.grad, GRADIENT)
    for name, want in wanted.items():
        assert_close(got[name], want, 1e-4)
    for name, leaf in leaves.items():
        momentum = OPTIMIZER.momentum * momenta[f"{name}.momentum"] + leaf.grad
        assert_close(got[f"{name}.momentum"], momentum, 1e-4)
        assert_close(got[name], before[name] - OPTIMIZER.lr * momentum, 1e-4)


@pytest.mark.parametrize("config, images, image", SHAPES)
def test_evaluation_uses_running_statistics_and_leaves_them(config, images, image):
    operation = BatchNorm(name="norm", image=image)
    x = samples((images, *image), 1)
    values = {"weight": samples(image[2:], 2), "bias": samples(image[2:], 3), "running_mean": samples(image[2:], 4),
              "running_var": samples(image[2:], 5).abs() + 0.5}
    got = Standalone(config, batch_norm, operation, images, training=False).run(x=x, **values)
    want = functional.batch_norm(channels_first(x), *(values[name] for name in (
        "running_mean", "running_var", "weight", "bias"))).permute(0, 2, 3, 1)
    assert_close(got["y"], want, OUTPUT / 2)
    for name, value in values.items():
        assert torch.equal(got[name], value)


@pytest.mark.parametrize("activation", (Activation(), Activation(slope=0.25), Activation(most=1.0)))
def test_activation_is_fused(activation):
    x = samples((2, 5, 5, 6), 1)
    got = Standalone(SMALL, batch_norm, BatchNorm(name="norm", image=(5, 5, 6), activation=activation), 2).run(
        x=x, weight=torch.ones(6), bias=torch.zeros(6))
    y = functional.batch_norm(channels_first(x), None, None, training=True).permute(0, 2, 3, 1)
    want = torch.where(y > 0, y, activation.slope * y).clamp(max=activation.most)
    assert_close(got["y"], want, OUTPUT / 2)


@pytest.mark.parametrize("activation", (Activation(), Activation(slope=0.25)))
def test_gradient_joins_others_and_passes_the_activation_before(activation):
    x, dy, addend = (samples((2, 11, 9, 6), seed) for seed in (1, 2, 3))
    x = torch.where(x > 0, x, activation.slope * x)
    got = Standalone(SMALL, batch_norm, BatchNorm(name="norm", image=(11, 9, 6), affine=False), 2,
                     activation=activation, accumulate=True).run(x=x, dy=dy, addend=addend)
    leaf = x.clone().requires_grad_()
    functional.batch_norm(channels_first(leaf), None, None, training=True).backward(channels_first(dy))
    assert_close(got["dx"], (leaf.grad + addend) * gradient_at(activation, x), GRADIENT)


def test_what_fits_is_loaded_once():
    image, images = (8, 8, 8), 1
    tensor, parameter = 2 * images * 8 * 8 * 8, 4 * 8
    alone = Standalone(SMALL, batch_norm, BatchNorm(name="norm", image=image), images)
    alone.run(x=samples((images, *image), 1), dy=samples((images, *image), 2))
    # forward: x, parameters, running statistics; backward: x, dy, weight, statistics, and the updates
    assert alone.bytes_read() == 3 * tensor + (4 + 3 + 4) * parameter


def test_parameters_are_trained_without_an_input_gradient():
    x, dy = samples((2, 5, 4, 8), 1), samples((2, 5, 4, 8), 2)
    got = Standalone(SMALL, batch_norm, BatchNorm(name="norm", image=(5, 4, 8)), 2, want_input_gradient=False).run(
        x=x, dy=dy, weight=torch.ones(8), dx=torch.full_like(x, 7.0))
    assert_close(got["bias.momentum"], dy.sum((0, 1, 2)), 1e-4)
    assert (got["dx"] == 7).all()


def test_statistics_of_one_value_are_refused():
    with pytest.raises(CompileError, match="norm: batch statistics need more than one value of each channel"):
        Standalone(SMALL, batch_norm, BatchNorm(name="norm", image=(1, 1, 4)), 1)
