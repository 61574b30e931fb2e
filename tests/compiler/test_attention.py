"""Scaled dot-product attention alone against autograd."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from adagp.compiler import attention
from adagp.compiler.attention import Attention, Heads
from adagp.compiler.operation import Activation
from adagp.compiler.program import CompileError
from adagp.spec.config import AcceleratorConfig

from .standalone import GRADIENT, OUTPUT, SMALL, WIDE, Standalone, assert_close, gradient_at, samples

CRAMPED = AcceleratorConfig(rows=3, columns=5, stream_elements=256, stationary_elements=256, vector_words=128)
"""So small that rows are cut and images come one by one."""


def operation(tokens: tuple[int, int], heads: int, size: int, packed: str, **options) -> Attention:
    """Attention of ``tokens`` (queries, keys). ``packed`` says which input has what: "q,k,v" are
    three, "qkv" is one, "q,kv" two; "x" is all at once."""
    width, queries = heads * size, tokens[0]
    images, parts = [], {}
    for source, names in enumerate(packed.split(",")):
        images.append((1, queries if "q" in names or names == "x" else tokens[1], width * len(names)))
        for place, name in enumerate(names):
            parts[name] = Heads(source=source, first=place * width, pitch=size)
    q, k, v = (parts.get(name) or parts["x"] for name in "qkv")
    return Attention(name="attention", inputs=tuple(packed.split(",")), images=tuple(images), heads=heads, size=size,
                     queries=q, keys=k, values=v, scale=size ** -0.5, **options)


def expected(op: Attention, inputs: list[torch.Tensor]) -> torch.Tensor:
    """(images, tokens, features), by PyTorch."""
    def heads(part: Heads) -> torch.Tensor:
        x = inputs[part.source]
        starts = [part.first + head * part.pitch for head in range(op.heads)]
        return torch.stack([x[:, 0, :, start:start + op.size] for start in starts], 1)
    q, k, v = heads(op.queries), heads(op.keys), heads(op.values)
    y = functional.scaled_dot_product_attention(q, k, v, is_causal=op.causal, scale=op.scale)
    return y.transpose(1, 2).flatten(2)


def check(config: AcceleratorConfig, op: Attention, images: int, **options) -> None:
    """A step with random inputs against autograd."""
    activation, accumulate = options.get("activation"), options.get("accumulate")
    inputs = [samples((images, *shape), seed, deviation=1.5) for seed, shape in enumerate(op.input_shapes)]
    dy, addends = samples((images, *op.output), 10), [samples(x.shape, 20) for x in inputs]

    def named(name: str, tensors: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        return {f"{name}{number or ''}": tensor for number, tensor in enumerate(tensors)}
    (shape, _), = op.saved(images).values()
    got = Standalone(config, attention, op, images, **options).run(
        dy=dy, probabilities=torch.full(shape, 7.0), **named("x", inputs),
        **(named("addend", addends) if accumulate else {}))
    leaves = [x.clone().requires_grad_() for x in inputs]
    y = expected(op, leaves)
    y.backward(dy.reshape(y.shape))
    assert_close(got["y"], y.detach(), OUTPUT)
    for name, x, leaf, addend in zip(named("dx", inputs), inputs, leaves, addends):
        want = leaf.grad + addend if accumulate else leaf.grad
        assert_close(got[name], want * gradient_at(activation, x) if activation else want, GRADIENT)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("config, images, tokens, heads, size", [
    (SMALL, 1, 5, 1, 4), (SMALL, 3, 9, 3, 6), (WIDE, 5, 17, 2, 10), (CRAMPED, 2, 17, 2, 5), (WIDE, 2, 33, 1, 16)])
def test_self_attention_is_within_bounds_of_autograd(config, images, tokens, heads, size, causal):
    check(config, operation((tokens, tokens), heads, size, "qkv", causal=causal), images)


@pytest.mark.parametrize("packed", ["q,k,v", "q,kv"])
@pytest.mark.parametrize("tokens", [(5, 9), (17, 5)])
@pytest.mark.parametrize("causal", [False, True])
def test_queries_and_keys_may_differ_in_number(packed, tokens, causal):
    check(SMALL, operation(tokens, 3, 4, packed, causal=causal), 2)


def test_gradients_of_the_same_features_add_up():
    check(SMALL, operation((9, 9), 2, 4, "x"), 2)


def test_heads_may_lie_between_one_another():
    """As after reshaping to (heads, 3·size) and cutting the last dimension in three."""
    op = operation((9, 9), 3, 4, "qkv")
    q, k, v = (Heads(source=0, first=4 * place, pitch=12) for place in range(3))
    check(SMALL, replace(op, queries=q, keys=k, values=v), 2)


@pytest.mark.parametrize("packed", ["qkv", "x"])
def test_gradient_is_added_and_gated_once(packed):
    check(SMALL, operation((9, 9), 2, 4, packed), 3, activation=Activation(slope=0.25), accumulate=True)


def test_causal_queries_do_not_see_later_tokens():
    op = operation((9, 9), 2, 4, "qkv", causal=True)
    x = samples((2, 1, 9, 24), 1)
    changed = x.clone()
    changed[:, :, 6:] = 7.0
    first, second = (Standalone(SMALL, attention, op, 2).run(x=values)["y"] for values in (x, changed))
    assert torch.equal(first[:, :, :6], second[:, :, :6]) and not torch.equal(first[:, :, 6:], second[:, :, 6:])


def test_large_scores_do_not_overflow():
    op = replace(operation((5, 5), 1, 4, "qkv"), scale=50.0)
    x = samples((1, 1, 5, 12), 3, deviation=4.0)
    got = Standalone(SMALL, attention, op, 1, training=False).run(x=x)
    assert_close(got["y"], expected(op, [x]), OUTPUT)


def test_too_many_keys_are_refused():
    with pytest.raises(CompileError, match="attention: tokens of the keys must be below 128, .* not 200"):
        Standalone(SMALL, attention, operation((5, 200), 1, 4, "q,kv"), 1)


def test_negative_scale_is_refused():
    with pytest.raises(ValueError, match="Attention.scale must be positive, not -1"):
        replace(operation((5, 5), 1, 4, "qkv"), scale=-1.0)
