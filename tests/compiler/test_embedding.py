"""Embedding lookup alone against autograd."""

import pytest
import torch
from torch.nn import functional

from adagp.compiler import embedding
from adagp.compiler.embedding import Embedding

from .standalone import OPTIMIZER, SMALL, WIDE, Standalone, assert_close, samples


@pytest.mark.parametrize("config, images, tokens, entries, features, padding", [
    (SMALL, 1, 5, 3, 4, None), (SMALL, 3, 9, 11, 6, 0), (SMALL, 2, 17, 300, 5, 299), (WIDE, 3, 9, 50, 33, 7),
    (WIDE, 1, 5, 1500, 4, None)])
def test_step_is_within_bounds_of_autograd(config, images, tokens, entries, features, padding):
    operation = Embedding(name="embedding", tokens=tokens, entries=entries, features=features, padding=padding)
    numbers = torch.randint(entries, (images, tokens), generator=torch.Generator().manual_seed(1))
    numbers[0, :3] = torch.tensor([0, entries - 1, entries - 1])  # one twice
    table, momentum = samples((entries, features), 2), samples((entries, features), 3)
    if padding is not None:
        numbers[-1, -1], table[padding] = padding, 0
    dy = samples((images, *operation.output), 4)
    got = Standalone(config, embedding, operation, images, want_input_gradient=False).run(
        **{"x": numbers.reshape(images, 1, tokens, 1), "weight": table, "weight.momentum": momentum, "dy": dy})
    table.requires_grad_()
    y = functional.embedding(numbers, table, padding_idx=padding)
    y.backward(dy[:, 0])
    assert torch.equal(got["y"][:, 0], y.detach())  # the table is exact in operands
    want = OPTIMIZER.momentum * momentum + table.grad
    assert_close(got["weight.momentum"], want, 1e-5)
    assert_close(got["weight"], table.detach() - OPTIMIZER.lr * want, 1e-5)
