"""The Transformer (Vaswani et al. 2017) for translation, with three encoder and three decoder layers.

Between embeddings and generator it calculates what ``torch.nn.Transformer(512, 8, 3, 3)`` does. Queries, keys
and values have a linear layer each, so that every weight belongs to a module that hooks can be put on.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional

PADDING = 0
"""The token that fills up sequences."""


class Attention(nn.Module):
    """Several heads of scaled dot products, each on its share of the features."""

    def __init__(self, features: int, heads: int, dropout: float):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(features, features) for _ in range(4))
        self.heads, self.dropout = heads, dropout

    def forward(self, x: torch.Tensor, source: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """``x`` (batch, tokens, features) attends to ``source`` (batch, sources, features) where ``seen``,
        of booleans that broadcast to (batch, heads, tokens, sources)."""
        q, k, v = (projection(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2) for projection, tokens in (
            (self.query, x), (self.key, source), (self.value, source)))
        attended = functional.scaled_dot_product_attention(q, k, v, seen, self.dropout if self.training else 0.0)
        return self.output(attended.transpose(1, 2).flatten(2))


class Feedforward(nn.Sequential):
    def __init__(self, features: int, hidden: int, dropout: float):
        super().__init__(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, features))


class EncoderLayer(nn.Module):
    """Attention and feed-forward network, each with a way around it and then normalised."""

    def __init__(self, features: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.self_attention = Attention(features, heads, dropout)
        self.feedforward = Feedforward(features, hidden, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        x = self.norm1(x + self.dropout(self.self_attention(x, x, seen)))
        return self.norm2(x + self.dropout(self.feedforward(x)))


class DecoderLayer(nn.Module):
    """As the encoder's, with attention to what was encoded between the two."""

    def __init__(self, features: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.self_attention = Attention(features, heads, dropout)
        self.cross_attention = Attention(features, heads, dropout)
        self.feedforward = Feedforward(features, hidden, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(features) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, seen: torch.Tensor, encoded: torch.Tensor, encoded_seen: torch.Tensor
                ) -> torch.Tensor:
        x = self.norm1(x + self.dropout(self.self_attention(x, x, seen)))
        x = self.norm2(x + self.dropout(self.cross_attention(x, encoded, encoded_seen)))
        return self.norm3(x + self.dropout(self.feedforward(x)))


class Stack(nn.Module):
    """Layers on each other, normalised behind the last."""

    def __init__(self, make: Callable[[], nn.Module], layers: int, features: int):
        super().__init__()
        self.layers = nn.ModuleList(make() for _ in range(layers))
        self.norm = nn.LayerNorm(features)

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x, *others)
        return self.norm(x)


class Tokens(nn.Module):
    """(batch, tokens) of word numbers -> (batch, tokens, features): embedding and sinusoidal position."""

    def __init__(self, words: int, features: int, longest: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(words, features, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("positions", sinusoids(longest, features), persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        longest, features = self.positions.shape
        if tokens.shape[1] > longest:
            raise ValueError(f"Transformer: sequences must have at most {longest} tokens (longest), not {tokens.shape[1]}")
        return self.dropout(math.sqrt(features) * self.embedding(tokens) + self.positions[:tokens.shape[1]])


def sinusoids(length: int, features: int) -> torch.Tensor:
    """(length, features): sines and cosines by turns, of wavelengths from 2π to 10,000·2π (section 3.5)."""
    angles = torch.arange(length)[:, None] * 10_000 ** (-torch.arange(0, features, 2) / features)
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)


class Transformer(nn.Module):
    """Source tokens (batch, sources) and target tokens (batch, targets) -> logits (batch, targets, words).

    ``words`` is the size of the target's vocabulary, ``source_words`` of the source's (None: the same).
    Word 0 is padding, which nothing attends to; a sequence must not begin with it. A target token
    attends to those before it and itself. ``longest`` sequences are allowed.
    """

    def __init__(self, *, words: int, source_words: int | None = None, features: int = 512, heads: int = 8,
                 layers: int = 3, hidden: int = 2048, dropout: float = 0.1, longest: int = 512):
        super().__init__()
        if features % (2 * heads):
            raise ValueError(f"Transformer.features must be a multiple of twice the heads, {2 * heads}, not {features}")
        self.source = Tokens(source_words or words, features, longest, dropout)
        self.target = Tokens(words, features, longest, dropout)
        self.encoder = Stack(partial(EncoderLayer, features, heads, hidden, dropout), layers, features)
        self.decoder = Stack(partial(DecoderLayer, features, heads, hidden, dropout), layers, features)
        self.generator = nn.Linear(features, words)
        self._initialise(features)

    def _initialise(self, features: int) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=features ** -0.5)
                with torch.no_grad():
                    module.weight[PADDING].zero_()

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        source_seen, target_seen = ((tokens != PADDING)[:, None, None] for tokens in (source, target))
        length = target.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=target.device).tril()
        encoded = self.encoder(self.source(source), source_seen)
        return self.generator(self.decoder(self.target(target), target_seen & causal, encoded, source_seen))


def translation(*, classes: int, channels: int, **options) -> Transformer:
    """``classes`` are the words; ``channels``, of images, have no meaning here."""
    return Transformer(words=classes, **options)


NETWORKS = {"transformer": {"translation": translation}}
