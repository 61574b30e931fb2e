"""Densely connected networks (Huang et al. 2016), torchvision's with its parameter names.

The ``cifar`` form begins with a 3×3 convolution and keeps the image's extent up to the first block,
instead of a quarter of it.
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import nn

from .blocks import he_fan_in, initialise, require_image


class DenseLayer(nn.Module):
    """Normalise, 1×1 to four times the growth, normalise, 3×3 to the growth: appended to the channels."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))
        return torch.cat([x, new], 1)


def transition(inputs: int) -> nn.Sequential:
    """Half the channels, half the extent."""
    return nn.Sequential(OrderedDict(
        norm=nn.BatchNorm2d(inputs), relu=nn.ReLU(), conv=nn.Conv2d(inputs, inputs // 2, 1, bias=False),
        pool=nn.AvgPool2d(2)))


class DenseNet(nn.Module):
    """(batch, channels, height, width) -> (batch, classes).

    Block i has ``depths[i]`` layers; the layers before make twice as many channels as a layer adds, and
    with ``shrink`` a quarter of the extent."""

    def __init__(self, depths: tuple[int, ...], growth: int, *, shrink: bool, classes: int, channels: int):
        super().__init__()
        width = 2 * growth
        layers = OrderedDict(conv0=nn.Conv2d(channels, width, 7, 2, 3, bias=False) if shrink else
                             nn.Conv2d(channels, width, 3, 1, 1, bias=False))
        layers |= OrderedDict(norm0=nn.BatchNorm2d(width), relu0=nn.ReLU())
        if shrink:
            layers["pool0"] = nn.MaxPool2d(3, 2, 1)
        for number, depth in enumerate(depths, 1):
            layers[f"denseblock{number}"] = nn.Sequential(OrderedDict(
                (f"denselayer{layer + 1}", DenseLayer(width + growth * layer, growth)) for layer in range(depth)))
            width += growth * depth
            if number < len(depths):
                layers[f"transition{number}"] = transition(width)
                width //= 2
        self.features = nn.Sequential(layers | OrderedDict(norm5=nn.BatchNorm2d(width)))
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, classes)
        self.smallest = 29 if shrink else 8
        initialise(self, convolution=he_fan_in)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require_image(x, self.smallest, "DenseNet")
        return self.classifier(torch.flatten(self.pool(self.relu(self.features(x))), 1))


CONFIGURATIONS = {"densenet121": ((6, 12, 24, 16), 32), "densenet161": ((6, 12, 36, 24), 48),
                  "densenet169": ((6, 12, 32, 32), 32), "densenet201": ((6, 12, 48, 32), 32)}
"""Layers of each block, and the growth."""

NETWORKS = {name: {"imagenet": partial(DenseNet, *configuration, shrink=True),
                   "cifar": partial(DenseNet, *configuration, shrink=False)}
            for name, configuration in CONFIGURATIONS.items()}
