"""VGG (Simonyan and Zisserman 2014), with and without batch normalisation.

The ``imagenet`` form is torchvision's, with its parameter names. The ``cifar`` form is the customary one
for images of 32×32: always with batch normalisation, and a single linear layer behind the five poolings.
"""

from functools import partial

import torch
from torch import nn

from .blocks import he_fan_out, initialise, narrow_normal, require_image

DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions of each stage; a pooling that halves the image ends it."""
WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """(batch, channels, height, width), 32 pixels at least -> (batch, classes).

    ``pooled`` is the extent of the image that ``classifier`` reads."""

    def __init__(self, depths: tuple[int, ...], *, channels: int, batch_norm: bool, pooled: int, classifier: nn.Module):
        super().__init__()
        self.features = _features(depths, channels, batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)
        self.classifier = classifier
        initialise(self, convolution=he_fan_out, linear=narrow_normal)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require_image(x, 2 ** len(WIDTHS), "VGG")
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def _features(depths: tuple[int, ...], channels: int, batch_norm: bool) -> nn.Sequential:
    layers = []
    for depth, width in zip(depths, WIDTHS):
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU())
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def imagenet(depths: tuple[int, ...], batch_norm: bool, *, classes: int, channels: int, dropout: float = 0.5) -> VGG:
    hidden = 4096
    classifier = nn.Sequential(
        nn.Linear(WIDTHS[-1] * 7 * 7, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, classes))
    return VGG(depths, channels=channels, batch_norm=batch_norm, pooled=7, classifier=classifier)


def cifar(depths: tuple[int, ...], *, classes: int, channels: int) -> VGG:
    return VGG(depths, channels=channels, batch_norm=True, pooled=1, classifier=nn.Linear(WIDTHS[-1], classes))


NETWORKS = {
    **{name: {"imagenet": partial(imagenet, depths, False), "cifar": partial(cifar, depths)}
       for name, depths in DEPTHS.items()},
    **{f"{name}_bn": {"imagenet": partial(imagenet, depths, True)} for name, depths in DEPTHS.items()},
}
