"""Blocks cut from well-known networks, small enough to train on the simulated RTL.

Each is made for the number of channels that it begins with, ends in a mean over pixels or tokens, and
has a classifier. ``BLOCKS`` names them all, with channels and images such that a batch of
back-propagation takes one to two million cycles of an 8×8 array.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn


class Bottleneck(nn.Module):
    """ResNet50's block: 1×1, 3×3, 1×1 with batch normalisation, and a projection on the way around."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1):
        super().__init__()
        outputs = 4 * planes
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or inplanes != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + identity)


class DenseLayer(nn.Module):
    """DenseNet121's layer: normalise, 1×1 to four times the growth, normalise, 3×3 to the growth."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        new = self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))
        return torch.cat([x, new], 1)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, depthwise, project, with ReLU6."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.around = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.around else self.conv(x)


class BasicConv2d(nn.Module):
    """Inception's convolution: no bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, **options):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, bias=False, **options)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class InceptionC(nn.Module):
    """InceptionV3's block with 1×7 and 7×1 kernels."""

    def __init__(self, inputs: int, width: int, outputs: int):
        super().__init__()
        across, down = {"kernel_size": (1, 7), "padding": (0, 3)}, {"kernel_size": (7, 1), "padding": (3, 0)}
        self.branch1x1 = BasicConv2d(inputs, outputs, kernel_size=1)
        self.branch7x7_1 = BasicConv2d(inputs, width, kernel_size=1)
        self.branch7x7_2 = BasicConv2d(width, width, **across)
        self.branch7x7_3 = BasicConv2d(width, outputs, **down)
        self.branch_pool = BasicConv2d(inputs, outputs, kernel_size=1)
        self.pool = nn.AvgPool2d(3, stride=1, padding=1)

    def forward(self, x):
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        return torch.cat([self.branch1x1(x), seven, self.branch_pool(self.pool(x))], 1)


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
    transition = [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)]
    return _classified(nn.Sequential(*layers, *transition), width // 2)


def mobilenetv2(channels: int) -> nn.Module:
    """Blocks 3 and 4 of MobileNetV2, with 24 channels: one that repeats, one with a stride."""
    outputs = channels * 4 // 3
    return _classified(nn.Sequential(InvertedResidual(channels, channels, 1, 6),
                                     InvertedResidual(channels, outputs, 2, 6)), outputs)


def inceptionv3(channels: int) -> nn.Module:
    """InceptionV3's block of 7×1 kernels, with 768 channels, and one of its two such branches."""
    return _classified(InceptionC(channels, channels // 6, channels // 4), 3 * (channels // 4))


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
