"""Training steps of transformers, in the ways that PyTorch lets one write them, against PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from adagp.compiler.attention import Attention
from adagp.compiler.capture import capture
from adagp.compiler.program import CompileError

from .oracle import assert_step_matches


@pytest.fixture(autouse=True)
def attention_is_rounded_inside(monkeypatch):
    """Lets the oracle see, and round, what ``multi_head_attention_forward`` calls instead of only its
    result; else activations differ enough for some to have another sign before a ReLU."""
    monkeypatch.setattr(functional, "has_torch_function", lambda tensors: False)


class Classifier(nn.Module):
    """``body`` over tokens, with the mean over them as its output; ``mask`` and further arguments go
    to ``body``."""

    def __init__(self, body: nn.Module, features: int, mask: torch.Tensor | None = None, **options):
        super().__init__()
        self.body, self.head, self.options = body, nn.Linear(features, 5), options
        self.register_buffer("mask", mask)

    def forward(self, x):
        if self.mask is not None:
            return self.head(self.body(x, self.mask, **self.options).mean(1))
        return self.head(self.body(x, **self.options).mean(1))


class Translator(nn.Module):
    """An encoder, and a decoder that attends to it."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.encode, self.decoder, self.head = nn.Linear(6, 6), nn.TransformerDecoder(layer, 1, nn.LayerNorm(6)), nn.Linear(6, 5)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(9)
        return self.head(self.decoder(x, functional.relu(self.encode(x)), tgt_mask=mask).mean(1))


class SelfAttention(nn.Module):
    """As in the well-known small language models: one projection, cut in three, functional attention."""

    def __init__(self, features: int, heads: int, cut: str):
        super().__init__()
        self.project, self.out, self.heads, self.cut = nn.Linear(features, 3 * features), nn.Linear(features, 5), heads, cut

    def forward(self, x):
        batch, tokens, features = x.size()
        size = features // self.heads
        y = self.project(x)
        if self.cut == "split":
            q, k, v = [part.view(batch, tokens, self.heads, size).transpose(1, 2)
                       for part in torch.chunk(y, 3, dim=2)]
        elif self.cut == "unbind":
            q, k, v = y.reshape(batch, tokens, 3, self.heads, size).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = y.view(batch, tokens, self.heads, 3 * size).transpose(1, 2).chunk(3, dim=-1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=self.cut == "split")
        return self.out(y.transpose(1, 2).contiguous().view(batch, tokens, features).mean(dim=1))


class Pooled(nn.Module):
    """Attention of one head without projections, and from an image: its pixels are the tokens."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(6, 5)

    def forward(self, x):
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        return self.head(functional.scaled_dot_product_attention(tokens, tokens, tokens, scale=0.7).mean(1))


class CrossAttention(nn.Module):
    """The keys have no bias: it would add the same to all scores of a query and have no gradient."""

    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 3, batch_first=True, **options)
        self.key, self.head = nn.Linear(6, options.get("kdim", 6), bias=False), nn.Linear(6, 5)

    def forward(self, x):
        key = self.key(x)
        y, _ = self.attention(x, key, x, need_weights=False)
        return self.head(y.mean(1))


class Language(nn.Module):
    """Classifies token numbers."""

    def __init__(self, entries: int, layer: nn.Module, padding: int | None = None):
        super().__init__()
        self.embedding, self.layer = nn.Embedding(entries, 8, padding_idx=padding), layer
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.layer(self.embedding(x)).mean(1))


def encoder_layer(features: int, heads: int, **options) -> nn.Module:
    torch.manual_seed(features)
    options = {"dropout": 0.0, "batch_first": True, "dim_feedforward": 11} | options
    return nn.TransformerEncoderLayer(features, heads, **options)


def causal(tokens: int) -> torch.Tensor:
    return nn.Transformer.generate_square_subsequent_mask(tokens)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(norm_first, activation):
    layer = encoder_layer(12, 3, norm_first=norm_first, activation=activation)
    assert_step_matches(Classifier(layer, 12), (9, 12), seed=1)  # with no activation next to zero


def test_causal_encoder_of_two_layers():
    layer = encoder_layer(8, 2, norm_first=True)
    body = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
    assert_step_matches(Classifier(body, 8, causal(17)), (17, 8))


def test_encoder_without_biases():
    assert_step_matches(Classifier(encoder_layer(10, 1, bias=False), 10), (5, 10))


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_attends_to_an_encoder(norm_first):
    torch.manual_seed(1)
    layer = nn.TransformerDecoderLayer(6, 3, 7, dropout=0.0, batch_first=True, norm_first=norm_first)
    assert_step_matches(Translator(layer), (9, 6))


@pytest.mark.parametrize("options", [{}, {"kdim": 4}, {"bias": False}])
def test_query_key_and_value_of_different_origin(options):
    torch.manual_seed(2)
    assert_step_matches(CrossAttention(**options), (9, 6))


@pytest.mark.parametrize("cut", ["split", "unbind", "chunk"])
def test_functional_attention(cut):
    torch.manual_seed(3)
    assert_step_matches(SelfAttention(12, 3, cut), (9, 12))


def test_pixels_attend_to_one_another():
    torch.manual_seed(4)
    assert_step_matches(Pooled(), (2, 3, 4))


@pytest.mark.parametrize("padding", [None, 3])
def test_token_numbers_are_looked_up(padding):
    torch.manual_seed(5)
    numbers = torch.randint(300, (4, 9))
    numbers[:, 2] = 3
    assert_step_matches(Language(300, encoder_layer(8, 2), padding), (9,), samples=numbers)


@pytest.mark.parametrize("body, options, words", [
    (encoder_layer(8, 2, dropout=0.1), {}, r"body\.self_attn: MultiheadAttention\.dropout must be 0, not 0\.1"),
    (encoder_layer(8, 2, batch_first=False), {}, r"body\.self_attn: MultiheadAttention\.batch_first must be True"),
    (encoder_layer(8, 2), {"src_key_padding_mask": torch.zeros(2, 9, dtype=torch.bool)}, "body: src_key_padding_mask must be"),
    (encoder_layer(8, 2), {"src_mask": torch.ones(9, 9, dtype=torch.bool).tril(-1)}, r"body\.self_attn: masks must hide nothing but"),
    (encoder_layer(8, 2, activation=torch.sigmoid), {}, r"body\.activation: sigmoid is not mapped"),
])
def test_what_cannot_be_mapped_is_refused_with_part_and_reason(body, options, words):
    with pytest.raises(CompileError, match=words):
        capture(Classifier(body, 8, **options), (9, 8))


def test_equal_inputs_share_one_projection():
    network = capture(Classifier(encoder_layer(8, 2), 8), (9, 8))
    (attention,) = [operation for operation in network.operations if isinstance(operation, Attention)]
    assert attention.inputs == ("body.self_attn.in_proj",) and network["body.self_attn.in_proj"].channels == 24
