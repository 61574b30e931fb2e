"""Blocks cut from well-known networks, small enough to train on the simulated RTL.

Each is made for the number of channels that it begins with, ends in a mean over pixels or tokens, and
has a classifier. ``BLOCKS`` names them all, with channels and images such that a batch of
back-propagation takes one to two million cycles of an 8×8 array.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from adagp.models.densenet import DenseLayer, transition
from adagp.models.inception import v3_c
from adagp.models.mixed import Mixed
from adagp.models.mobilenet import InvertedResidual
from adagp.models.resnet import Bottleneck


def _classified(body: nn.Module, channels: int, classes: int = 10) -> nn.Module:
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def vgg13(channels: int) -> nn.Module:
    """The second and third stage of VGG13, which begin with 64 channels."""
    layers = []
    for inputs, outputs in ((1, 2), (2, 2), (2, 4), (4, 4)):
        layers += [nn.Conv2d(inputs * channels, outputs * channels, 3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if inputs == outputs else []
    return _classified(nn.Sequential(*layers), 4 * channels)


def resnet50(channels: int) -> nn.Module:
    """The first two blocks of ResNet50, which begin with 64 channels."""
    return _classified(nn.Sequential(Bottleneck(channels, channels), Bottleneck(4 * channels, channels)), 4 * channels)


def densenet121(channels: int) -> nn.Module:
    """Three layers of DenseNet121's first block, which begins with 64 channels, and a transition."""
    growth = channels // 2
    layers = [DenseLayer(channels + growth * number, growth) for number in range(3)]
    width = channels + 3 * growth
    return _classified(nn.Sequential(*layers, transition(width)), width // 2)


def mobilenetv2(channels: int) -> nn.Module:
    """Blocks 3 and 4 of MobileNetV2, with 24 channels: one that repeats, one with a stride."""
    outputs = channels * 4 // 3
    return _classified(nn.Sequential(InvertedResidual(channels, channels, 1, 6),
                                     InvertedResidual(channels, outputs, 2, 6)), outputs)


def inceptionv3(channels: int) -> nn.Module:
    """InceptionV3's block of 7×1 kernels, with 768 channels, and one of its two such branches."""
    branches = v3_c(channels // 6, channels // 4)
    some = {name: branches[name] for name in ("branch7x7", "branch1x1", "branch_pool")}  # issued in this order
    return _classified(Mixed(channels, some), 3 * (channels // 4))


class Encoder(nn.Module):
    """A Transformer's encoder layer on a sequence of vectors, its mean classified."""

    def __init__(self, features: int, heads: int, hidden: int, classes: int = 10):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(features, heads, hidden, dropout=0.0, batch_first=True)
        self.classifier = nn.Linear(features, classes)

    def forward(self, x):
        return self.classifier(self.layer(x).mean(1))


def transformer(channels: int) -> nn.Module:
    """A Transformer's encoder layer, with 512 features, of 8 heads."""
    return Encoder(channels, 8, 4 * channels)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A network to compile and train: ``make(channels)`` builds it. A sample has ``channels`` and is
    ``extent`` large: (height, width) of an image, (tokens,) of a sequence."""

    make: Callable[[int], nn.Module]
    channels: int
    extent: tuple[int, ...]
    batch: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """That of a sample: (channels, height, width) or (tokens, channels)."""
        return (self.channels, *self.extent) if len(self.extent) == 2 else (*self.extent, self.channels)

    def model(self, seed: int = 0) -> nn.Module:
        """The network with the parameters that ``seed`` gives it."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return self.make(self.channels)

    def samples(self, batches: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Random samples and labels of its ten classes."""
        generator = torch.Generator().manual_seed(seed)
        count = batches * self.batch
        return (torch.randn(count, *self.input_shape, generator=generator),
                torch.randint(10, (count,), generator=generator))


BLOCKS = {
    "VGG13": Block(make=vgg13, channels=16, extent=(16, 16), batch=4),
    "ResNet50": Block(make=resnet50, channels=32, extent=(8, 8), batch=8),
    "DenseNet121": Block(make=densenet121, channels=32, extent=(8, 8), batch=8),
    "MobileNetV2": Block(make=mobilenetv2, channels=24, extent=(8, 8), batch=8),
    "InceptionV3": Block(make=inceptionv3, channels=192, extent=(7, 7), batch=8),
    "Transformer": Block(make=transformer, channels=64, extent=(16,), batch=16),
}

SHRUNK = {name: replace(BLOCKS[name], channels=channels, extent=extent, batch=batch) for name, channels, extent, batch in (
    ("VGG13", 5, (8, 8), 2), ("ResNet50", 5, (6, 6), 2), ("DenseNet121", 8, (6, 6), 2), ("MobileNetV2", 6, (6, 6), 2),
    ("InceptionV3", 24, (7, 7), 2), ("Transformer", 16, (6,), 2))}
"""The same with so few channels and pixels that a 4×4 array trains them in seconds of simulation."""
