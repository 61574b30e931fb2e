"""Seeded random small networks and configurations, for comparing machines with each other and with
autograd."""

import random
from dataclasses import dataclass

import torch
from torch import nn

from adagp.compiler import FeedbackConfig, PredictorConfig
from adagp.spec.config import AcceleratorConfig, Design


@dataclass(frozen=True, kw_only=True)
class RandomNetwork:
    """A model that ends in logits, with the shape of one sample, and a batch size."""

    model: nn.Module
    input_shape: tuple[int, ...]
    batch: int
    predictor: PredictorConfig | FeedbackConfig

    def samples(self, batches: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(data, labels) for ``batches`` batches."""
        generator = torch.Generator().manual_seed(seed)
        count, first = batches * self.batch, self.model[0]
        if isinstance(first, nn.Embedding):
            data = torch.randint(first.num_embeddings, (count, *self.input_shape), generator=generator)
        else:
            data = torch.randn(count, *self.input_shape, generator=generator)
        return data, torch.randint(list(self.model.modules())[-1].out_features, (count,), generator=generator)


class Residual(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Branches(nn.Module):
    """The outputs of several modules for the same input, concatenated."""

    def __init__(self, *branches: nn.Module):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def random_network(seed: int, *, plain: bool = False) -> RandomNetwork:
    """Up to three steps on an image, on tokens or on features, then up to two linear layers.

    Steps on images are convolutions (odd sizes, any stride, padding, dilation and groups, non-square
    kernels), residual sums, concatenations of branches, upsampling; behind them activations of all
    kinds and max pooling with and without overlap and padding. Unless ``plain``, also batch and layer
    normalisation, average pooling, GELU, attention, embeddings, and either predictor.
    """
    rng = random.Random(seed)
    torch.manual_seed(seed)
    batch = rng.choice((1, 2, 3, 5, 8))
    kind = rng.random()
    if kind < 0.1:
        shape = (rng.randint(1, 20),)
        layers, features = [], shape[0]
    elif kind < (0.25 if plain else 0.4):
        shape = rng.randint(1, 7), rng.randint(1, 9)
        layers, features = _token_steps(rng, *shape) if plain else _attentive_steps(rng, *shape), shape[0] * shape[1]
        if isinstance(layers[0], nn.Embedding):
            shape = shape[:1]
    else:
        shape = rng.randint(1, 5), rng.randint(3, 10), rng.randint(3, 10)
        layers, features = _image_steps(rng, *shape, PLAIN if plain else PLAIN + NORMALISED)
    layers.append(nn.Flatten())
    if rng.random() < 0.4:
        hidden = rng.randint(2, 13)
        layers += [nn.Linear(features, hidden), _activation(rng)]
        features = hidden
    layers.append(nn.Linear(features, rng.randint(2, 11), bias=rng.random() < 0.8))
    predictor = PredictorConfig(size=rng.choice((2, 4)), channels=rng.randint(1, 5), kernel=rng.choice((1, 3)))
    if not plain and rng.random() < 0.4:
        predictor = FeedbackConfig(decay=rng.choice((0.9, 0.97)))
    return RandomNetwork(model=nn.Sequential(*layers), input_shape=shape, batch=batch, predictor=predictor)


def _token_steps(rng: random.Random, tokens: int, features: int) -> list[nn.Module]:
    hidden = rng.randint(1, 12)
    return [Residual(nn.Sequential(nn.Linear(features, hidden), _activation(rng), nn.Linear(hidden, features)))]


def _attentive_steps(rng: random.Random, tokens: int, features: int) -> list[nn.Module]:
    """Of a transformer: embedding, normalised feed-forward layers, encoder layers."""
    layers = [nn.Embedding(rng.randint(2, 40), features)] if rng.random() < 0.3 else []
    for _ in range(rng.randint(1, 2)):
        if rng.random() < 0.5:
            heads = rng.choice([heads for heads in range(1, features + 1) if features % heads == 0])
            layers.append(nn.TransformerEncoderLayer(
                features, heads, rng.randint(1, 12), dropout=0.0, batch_first=True, norm_first=rng.random() < 0.5,
                activation=rng.choice(("relu", "gelu")), bias=rng.random() < 0.8))
        else:
            inner = [nn.Linear(features, hidden := rng.randint(1, 12)), rng.choice((nn.GELU(), nn.GELU("tanh"), nn.ReLU())),
                     nn.Linear(hidden, features)]
            layers += [Residual(nn.Sequential(nn.LayerNorm(features), *inner)), nn.LayerNorm(features)]
    return layers


def _image_steps(rng: random.Random, channels: int, height: int, width: int, steps: tuple) -> tuple[list[nn.Module], int]:
    """The modules, and how many features they leave."""
    layers = []
    for _ in range(rng.randint(1, 3)):
        step = rng.choice(steps)
        modules, (channels, height, width) = step(rng, channels, height, width)
        layers += modules
        if rng.random() < 0.7:
            layers.append(_activation(rng))
        if min(height, width) >= 2 and rng.random() < 0.4:
            size, stride = rng.randint(2, min(3, height, width)), rng.randint(1, 3)
            border = rng.randint(0, size // 2)
            layers.append(nn.MaxPool2d(size, stride, border))
            height, width = ((n + 2 * border - size) // stride + 1 for n in (height, width))
    while channels * height * width > 300 and min(height, width) >= 2:  # the predictor grows with the linear layer
        layers.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    return layers, channels * height * width


def _convolution(rng: random.Random, channels: int, height: int, width: int):
    kernel = rng.randint(1, min(4, height)), rng.randint(1, min(4, width))
    stride = rng.randint(1, 3), rng.randint(1, 3)
    padding = rng.randint(0, 2), rng.randint(0, 2)
    dilation = [rng.randint(1, min(3, (n - 1) // (k - 1))) if k > 1 else 1 for n, k in zip((height, width), kernel)]
    groups = rng.choice([1, *(n for n in range(1, channels + 1) if channels % n == 0)])
    outputs = groups * rng.randint(1, max(1, 11 // groups))
    size = [(n + 2 * p - (k - 1) * d - 1) // s + 1
            for n, p, k, d, s in zip((height, width), padding, kernel, dilation, stride)]
    conv = nn.Conv2d(channels, outputs, kernel, stride, padding, dilation, groups, bias=rng.random() < 0.8)
    return [conv], (outputs, *size)


def _residual(rng: random.Random, channels: int, height: int, width: int):
    hidden = rng.randint(1, 7)
    inner = [_same(rng, channels, hidden), _activation(rng), _same(rng, hidden, channels)]
    return [Residual(nn.Sequential(*inner))], (channels, height, width)


def _branches(rng: random.Random, channels: int, height: int, width: int):
    widths = [rng.randint(1, 6) for _ in range(rng.randint(1, 3))]
    branches = [nn.Sequential(_same(rng, channels, width), _activation(rng)) for width in widths]
    if rng.random() < 0.5:  # as in a dense block
        branches.append(nn.Identity())
        widths.append(channels)
    return [Branches(*branches)], (sum(widths), height, width)


def _upsample(rng: random.Random, channels: int, height: int, width: int):
    factor = rng.randint(1, 2), rng.randint(1, 3)
    return [nn.Upsample(scale_factor=factor)], (channels, height * factor[0], width * factor[1])


def _normalised(rng: random.Random, channels: int, height: int, width: int):
    outputs = rng.randint(1, 11)
    affine = rng.random() < 0.8
    return [_same(rng, channels, outputs), nn.BatchNorm2d(outputs, affine=affine)], (outputs, height, width)


def _inverted_residual(rng: random.Random, channels: int, height: int, width: int):
    """Expansion, depthwise convolution, projection."""
    hidden = channels * rng.randint(1, 3)
    inner = [nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
             nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
             nn.Conv2d(hidden, channels, 1, bias=False), nn.BatchNorm2d(channels)]
    return [Residual(nn.Sequential(*inner))], (channels, height, width)


def _average(rng: random.Random, channels: int, height: int, width: int):
    size, stride = rng.randint(1, min(3, height, width)), rng.randint(1, 2)
    border = rng.randint(0, size // 2)
    pool = nn.AvgPool2d(size, stride, border, count_include_pad=rng.random() < 0.5)
    return [_same(rng, channels, channels), pool, *([nn.GELU()] if rng.random() < 0.5 else [])], (
        channels, *((n + 2 * border - size) // stride + 1 for n in (height, width)))


PLAIN = (_convolution, _convolution, _residual, _branches, _upsample)
NORMALISED = (_normalised, _normalised, _inverted_residual, _average)


def _same(rng: random.Random, channels: int, outputs: int) -> nn.Conv2d:
    """A convolution that keeps height and width, often with a long kernel."""
    kernel = rng.choice(((1, 1), (3, 3), (1, 7), (7, 1), (1, 3), (5, 1)))
    return nn.Conv2d(channels, outputs, kernel, padding=(kernel[0] // 2, kernel[1] // 2), bias=rng.random() < 0.8)


def _activation(rng: random.Random) -> nn.Module:
    return rng.choice((nn.ReLU(), nn.ReLU(), nn.LeakyReLU(0.1), nn.ReLU6()))


def random_config(seed: int) -> AcceleratorConfig:
    """Any array from 2×2 to 9×9, square or not, on a 64- or 128-bit bus; all designs, the predictor's
    array of any size up to that of the main one."""
    rng = random.Random(seed)
    rows, columns = rng.randint(2, 9), rng.randint(2, 9)
    return AcceleratorConfig(
        rows=rows, columns=columns, design=list(Design)[seed % len(Design)],
        predictor_rows=rng.randint(2, rows), predictor_columns=rng.randint(2, columns),
        bus_bits=rng.choice((64, 128)), stream_elements=rng.choice((8192, 16384)),
        stationary_elements=rng.choice((8192, 16384)), vector_words=rng.choice((1024, 2048)),
        vector_banks=rng.choice((4, 8)), queue_depth=rng.choice((2, 4, 16)), burst_beats=rng.choice((4, 16)),
        read_buffer_beats=64, predictor_elements=1 << 17)
