"""A small network for scikit-learn's handwritten digits: five 3×3 convolutions and a classifier."""

import torch
from torch import nn
from torch.nn import functional

from .blocks import initialise

WIDTHS = (16, 16, 32, 32, 32)
POOLED = (1, 3)
"""Convolutions that a 2×2 max pooling follows."""


class Digits(nn.Module):
    """(batch, channels, 8, 8) -> (batch, classes)."""

    def __init__(self, *, classes: int, channels: int):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(inputs, outputs, 3, padding=1)
                                   for inputs, outputs in zip((channels, *WIDTHS), WIDTHS))
        self.classifier = nn.Linear(WIDTHS[-1] * 2 * 2, classes)
        initialise(self, convolution=nn.init.kaiming_normal_)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(x, torch.Tensor) and x.shape[-2:] != (8, 8):
            raise ValueError(f"images for the digits network must be 8×8, not {x.shape[-2]}×{x.shape[-1]}")
        for index, conv in enumerate(self.convs):
            x = torch.relu(conv(x))
            if index in POOLED:
                x = functional.max_pool2d(x, 2)
        return self.classifier(torch.flatten(x, 1))


NETWORKS = {"digits": {"digits": Digits}}
