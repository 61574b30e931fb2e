"""Position embeddings, class tokens and slices of tokens alone against autograd."""

import pytest
import torch

from adagp.compiler import class_tokens, positions, token_slice
from adagp.compiler.class_tokens import ClassTokens
from adagp.compiler.operation import Activation
from adagp.compiler.positions import Positions
from adagp.compiler.token_slice import TokenSlice

from .standalone import GRADIENT, OPTIMIZER, OUTPUT, SMALL, WIDE, Standalone, assert_close, gradient_at, samples

SIZES = [(SMALL, 1, (1, 5, 3)), (SMALL, 3, (1, 9, 6)), (WIDE, 2, (1, 17, 33)), (SMALL, 2, (1, 60, 37))]
LEAKY = Activation(slope=0.25)


def check(config, module, operation, images: int, want, **options) -> None:
    """A step against ``want`` of the input and, if there is one, of ``weight``."""
    kept = operation.parameters | operation.buffers
    weights = [samples(shape, 3) for shape in kept.values()]
    x, dy, addend = (samples((images, *shape), seed) for seed, shape in enumerate(
        (operation.image, operation.output, operation.image)))
    given = {"x": x, "dy": dy, "weight.momentum": weights[0] if operation.parameters else None, "addend": addend,
             "weight": weights[0] if kept else None, "dx": torch.full_like(x, 7.0)}
    standalone = Standalone(config, module, operation, images, **options)
    got = standalone.run(**{name: value for name, value in given.items()
                            if value is not None and (name != "addend" or options.get("accumulate"))})
    leaves = [tensor.clone().requires_grad_() for tensor in (x, *weights)]
    y = want(*leaves)
    y.backward(dy)
    assert_close(got["y"], y.detach(), OUTPUT / 2)
    gradient = leaves[0].grad + addend if options.get("accumulate") else leaves[0].grad
    assert_close(got["dx"], gradient * gradient_at(LEAKY, x) if options.get("activation") else gradient, GRADIENT / 6)
    if operation.parameters:
        momentum = OPTIMIZER.momentum * weights[0] + leaves[1].grad
        assert_close(got["weight.momentum"], momentum, 1e-5)
        assert_close(got["weight"], weights[0] - OPTIMIZER.lr * momentum, 1e-5)
    elif kept:
        assert torch.equal(got["weight"], weights[0])


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("config, images, image", SIZES)
def test_positions(config, images, image, trained):
    check(config, positions, Positions(name="positions", inputs=("input",), image=image, trained=trained), images,
          lambda x, weight: x + weight)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("config, images, image", SIZES)
def test_class_tokens(config, images, image, count):
    check(config, class_tokens, ClassTokens(name="tokens", inputs=("input",), image=image, count=count), images,
          lambda x, weight: torch.cat([weight.expand(images, -1, -1, -1), x], dim=2))


@pytest.mark.parametrize("first, count", [(0, 1), (1, 3), (4, 1)])
@pytest.mark.parametrize("config, images, image", SIZES)
def test_slice(config, images, image, first, count):
    operation = TokenSlice(name="slice", inputs=("input",), image=image, first=first, count=count)
    check(config, token_slice, operation, images, lambda x: x[:, :, first:first + count])


@pytest.mark.parametrize("module, operation, want", [
    (class_tokens, ClassTokens(name="tokens", inputs=("input",), image=(1, 9, 6)),
     lambda x, weight: torch.cat([weight.expand(2, -1, -1, -1), x], dim=2)),
    (positions, Positions(name="positions", inputs=("input",), image=(1, 9, 6)), lambda x, weight: x + weight),
    (token_slice, TokenSlice(name="slice", inputs=("input",), image=(1, 9, 6), first=2), lambda x: x[:, :, 2:3])])
def test_gradient_is_added_and_gated(module, operation, want):
    check(SMALL, module, operation, 2, want, activation=LEAKY, accumulate=True)
