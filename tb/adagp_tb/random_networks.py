"""Seeded random small networks and configurations, for comparing machines with each other and with
autograd."""

import random
from dataclasses import dataclass

import torch
from torch import nn

from adagp.compiler import PredictorConfig
from adagp.spec.config import AcceleratorConfig, Design


@dataclass(frozen=True, kw_only=True)
class RandomNetwork:
    """A model that ends in logits, with the shape of one sample, and a batch size."""

    model: nn.Module
    input_shape: tuple[int, ...]
    batch: int
    predictor: PredictorConfig

    def samples(self, batches: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(data, labels) for ``batches`` batches."""
        generator = torch.Generator().manual_seed(seed)
        count = batches * self.batch
        classes = list(self.model.modules())[-1].out_features
        return (torch.randn(count, *self.input_shape, generator=generator),
                torch.randint(classes, (count,), generator=generator))


def random_network(seed: int) -> RandomNetwork:
    """One to three convolutions (odd sizes, any stride and padding, non-square kernels), max pooling
    with and without overlap and padding, up to two linear layers."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    batch = rng.choice((1, 2, 3, 5, 8))
    if rng.random() < 0.15:
        features = rng.randint(1, 20)
        layers, shape, channels = [], (features,), features
    else:
        channels, height, width = rng.randint(1, 5), rng.randint(3, 10), rng.randint(3, 10)
        shape, layers = (channels, height, width), []
        for _ in range(rng.randint(1, 3)):
            kernel = rng.randint(1, min(4, height)), rng.randint(1, min(4, width))
            stride = rng.randint(1, 3), rng.randint(1, 3)
            padding = rng.randint(0, 2), rng.randint(0, 2)
            outputs = rng.randint(1, 11)
            layers.append(nn.Conv2d(channels, outputs, kernel, stride, padding, bias=rng.random() < 0.8))
            height, width = ((n + 2 * p - k) // s + 1
                             for n, p, k, s in zip((height, width), padding, kernel, stride))
            channels = outputs
            if rng.random() < 0.7:
                layers.append(nn.ReLU())
            if min(height, width) >= 2 and rng.random() < 0.5:
                size, step = rng.randint(2, min(3, height, width)), rng.randint(1, 3)
                border = rng.randint(0, size // 2)
                layers.append(nn.MaxPool2d(size, step, border))
                height, width = ((n + 2 * border - size) // step + 1 for n in (height, width))
        layers.append(nn.Flatten())
        channels *= height * width
    if rng.random() < 0.4:
        hidden = rng.randint(2, 13)
        layers += [nn.Linear(channels, hidden), nn.ReLU()]
        channels = hidden
    layers.append(nn.Linear(channels, rng.randint(2, 11), bias=rng.random() < 0.8))
    predictor = PredictorConfig(size=rng.choice((2, 4)), channels=rng.randint(1, 5), kernel=rng.choice((1, 3)))
    return RandomNetwork(model=nn.Sequential(*layers), input_shape=shape, batch=batch, predictor=predictor)


def random_config(seed: int) -> AcceleratorConfig:
    """Any array from 2×2 to 9×9, square or not, on a 64- or 128-bit bus; both designs."""
    rng = random.Random(seed)
    return AcceleratorConfig(
        rows=rng.randint(2, 9), columns=rng.randint(2, 9), design=rng.choice(list(Design)),
        bus_bits=rng.choice((64, 128)), stream_elements=rng.choice((8192, 16384)),
        stationary_elements=rng.choice((8192, 16384)), vector_words=rng.choice((1024, 2048)),
        vector_banks=rng.choice((4, 8)), queue_depth=rng.choice((2, 4, 16)), burst_beats=rng.choice((4, 16)),
        read_buffer_beats=64)
