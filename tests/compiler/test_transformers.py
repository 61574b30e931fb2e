"""Training steps of transformers, in the ways that PyTorch lets one write them, against PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from adagp.compiler import compile_training
from adagp.compiler.attention import Attention
from adagp.compiler.capture import capture
from adagp.compiler.program import CompileError

from .oracle import CONFIG, assert_step_matches


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
        self.encode, self.head = nn.Linear(6, 6), nn.Linear(6, 5)
        self.decoder = nn.TransformerDecoder(layer, 1, nn.LayerNorm(6))

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(9)
        return self.head(self.decoder(x, functional.relu(self.encode(x)), tgt_mask=mask).mean(1))


class SelfAttention(nn.Module):
    """As in the well-known small language models: one projection, cut in three, functional attention."""

    def __init__(self, features: int, heads: int, cut: str):
        super().__init__()
        self.project, self.out = nn.Linear(features, 3 * features), nn.Linear(features, 5)
        self.heads, self.cut = heads, cut

    def forward(self, x):
        batch, tokens, features = x.size()
        size = features // self.heads
        y = self.project(x)
        if self.cut == "split":
            q, k, v = y.split(features, dim=2)
            q, k, v = (part.view(batch, tokens, self.heads, size).transpose(1, 2) for part in (q, k, v))
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
    """Classifies token numbers, whose positions are an embedding, a parameter or a buffer."""

    def __init__(self, layer: nn.Module, positions: str, padding: int | None = None):
        super().__init__()
        self.embedding, self.layer = nn.Embedding(300, 8, padding_idx=padding), layer
        self.head, self.kind = nn.Linear(8, 5), positions
        if positions == "embedding":
            self.positions = nn.Embedding(20, 8)
        elif positions == "parameter":
            self.positions = nn.Parameter(torch.randn(1, 20, 8))
        else:
            self.register_buffer("positions", torch.randn(9, 8))

    def forward(self, x):
        tokens, y = x.size(1), self.embedding(x)
        if self.kind == "embedding":
            y = y + self.positions(torch.arange(tokens))
        elif self.kind == "parameter":
            y = y + self.positions[:, :tokens]
        else:
            y = self.positions + y
        return self.head(self.layer(y).mean(1))


class VisionTransformer(nn.Module):
    """Patches, a class token, and the class read from it."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.patches, self.layer, self.head = nn.Conv2d(2, 8, 2, 2), layer, nn.Linear(8, 5)
        self.token, self.positions = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.randn(1, 7, 8))

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.layer(x)[:, 0])


def encoder_layer(features: int, heads: int, **options) -> nn.Module:
    torch.manual_seed(features)
    options = {"dropout": 0.0, "batch_first": True, "dim_feedforward": 11} | options
    return nn.TransformerEncoderLayer(features, heads, **options)


def causal(tokens: int) -> torch.Tensor:
    return torch.ones(tokens, tokens, dtype=torch.bool).triu(1)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer(norm_first, activation):
    layer = encoder_layer(12, 3, norm_first=norm_first, activation=activation)
    assert_step_matches(Classifier(layer, 12), (9, 12), seed=2)  # with no activation next to zero


def test_causal_encoder_of_two_layers():
    layer = encoder_layer(8, 2, norm_first=True, activation="gelu")
    body = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
    assert_step_matches(Classifier(body, 8, causal(17)), (17, 8))


def test_encoder_without_biases():
    assert_step_matches(Classifier(encoder_layer(10, 1, bias=False), 10), (5, 10))


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_attends_to_an_encoder(norm_first):
    torch.manual_seed(1)
    layer = nn.TransformerDecoderLayer(6, 3, 7, 0.0, "gelu", batch_first=True, norm_first=norm_first)
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


@pytest.mark.parametrize("padding, positions", [(None, "embedding"), (3, "parameter"), (None, "buffer")])
def test_token_numbers_are_looked_up(padding, positions):
    torch.manual_seed(5)
    numbers = torch.randint(300, (4, 9))
    numbers[:, 2] = 3
    layer = encoder_layer(8, 2, activation="gelu")
    assert_step_matches(Language(layer, positions, padding), (9,), samples=numbers)


def test_vision_transformer():
    assert_step_matches(VisionTransformer(encoder_layer(8, 2, norm_first=True, activation="gelu")), (2, 4, 6))


@pytest.mark.parametrize("body, options, words", [
    (encoder_layer(8, 2, dropout=0.1), {}, r"body\.self_attn: MultiheadAttention\.dropout must be 0, not 0\.1"),
    (encoder_layer(8, 2, batch_first=False), {}, r"body\.self_attn: MultiheadAttention\.batch_first must be True"),
    (encoder_layer(8, 2), {"src_key_padding_mask": torch.zeros(2, 9, dtype=torch.bool)},
     "body: src_key_padding_mask must be None"),
    (encoder_layer(8, 2), {"src_mask": causal(9).T}, r"body\.self_attn: masks must hide nothing but later positions"),
    (encoder_layer(8, 2, activation=torch.sigmoid), {}, r"body\.activation: sigmoid is not mapped"),
])
def test_what_cannot_be_mapped_is_refused_with_part_and_reason(body, options, words):
    with pytest.raises(CompileError, match=words):
        capture(Classifier(body, 8, **options), (9, 8))


class Apply(nn.Module):
    """``function`` of this module, which has a parameter and a buffer, and of the samples."""

    def __init__(self, function):
        super().__init__()
        self.function, self.head = function, nn.Linear(8, 5)
        self.trained = nn.Parameter(torch.zeros(1, 9, 8))
        self.register_buffer("kept", torch.zeros(2, 9, 8))

    def forward(self, x):
        return self.head(self.function(self, x).mean(1))


@pytest.mark.parametrize("function, words", [
    (lambda m, x: x + m.trained[:, :1], r"adds values of the shape of the tokens, \(9, 8\), not \(1, 1, 8\)"),
    (lambda m, x: x + m.trained + m.trained, "add_1: must have parameters of its own, not share those of add"),
    (lambda m, x: x + torch.zeros(9, 8).exp(), "what is not computed from the sample must be a parameter or buffer"),
    (lambda m, x: torch.cat([x, m.trained.expand(2, -1, -1)], 1), "concatenates parameters before tokens"),
    (lambda m, x: torch.cat([m.kept, x], 1), "needs a parameter before the tokens, and kept is none"),
    (lambda m, x: functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5), "needs dropout_p 0"),
    (lambda m, x: functional.scaled_dot_product_attention(*[x.unflatten(2, (2, 4))] * 3).flatten(2), "out of all tokens"),
    (lambda m, x: torch.cat([functional.scaled_dot_product_attention(*[x[..., :4]] * 3)] * 2, 2),
     "must read all features of input"),
])
def test_what_is_not_as_expected_is_refused(function, words):
    with pytest.raises(CompileError, match=words):
        capture(Apply(function), (9, 8))


def test_token_numbers_beyond_the_embedding_are_refused():
    training = compile_training(Language(encoder_layer(8, 2), "buffer"), CONFIG, batch=2, input_shape=(9,))
    memory = np.zeros(training.image_bytes(1), np.uint8)
    with pytest.raises(ValueError, match="numbers of the entries of embedding, from 0 to 299, not 300 to 300"):
        training.image(memory, Language(encoder_layer(8, 2), "buffer"), torch.full((2, 9), 300), torch.zeros(2))


def test_equal_inputs_share_one_projection():
    network = capture(Classifier(encoder_layer(8, 2), 8), (9, 8))
    (attention,) = [operation for operation in network.operations if isinstance(operation, Attention)]
    assert attention.inputs == ("body.self_attn.in_proj",) and network["body.self_attn.in_proj"].channels == 24
