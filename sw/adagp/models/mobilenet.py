"""MobileNetV2 (Sandler et al. 2018), torchvision's with its parameter names.

The ``cifar`` form does without the first two halvings of the image: those of the first convolution and of
the stage with 24 channels.
"""

from functools import partial

import torch
from torch import nn

from .blocks import convolution_unit, he_fan_out, initialise, narrow_normal


class InvertedResidual(nn.Module):
    """Expand, depthwise, project, with ReLU6, and a way around them where shapes are equal."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [convolution_unit(inputs, hidden, 1, activation=nn.ReLU6)] if expansion > 1 else []
        layers.append(convolution_unit(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6))
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.around = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.around else self.conv(x)


STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, number of blocks, stride of the first one."""


class MobileNetV2(nn.Module):
    """(batch, channels, height, width) -> (batch, classes). ``strides`` are those of the first convolution
    and of the second stage."""

    def __init__(self, *, strides: tuple[int, int], classes: int, channels: int, dropout: float = 0.2):
        super().__init__()
        width, last = 32, 1280
        layers = [convolution_unit(channels, width, 3, stride=strides[0], activation=nn.ReLU6)]
        for stage, (expansion, outputs, blocks, stride) in enumerate(STAGES):
            stride = strides[1] if stage == 1 else stride
            for number in range(blocks):
                layers.append(InvertedResidual(width, outputs, 1 if number else stride, expansion))
                width = outputs
        self.features = nn.Sequential(*layers, convolution_unit(width, last, 1, activation=nn.ReLU6))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        initialise(self, convolution=he_fan_out, linear=narrow_normal)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


NETWORKS = {"mobilenetv2": {"imagenet": partial(MobileNetV2, strides=(2, 2)),
                            "cifar": partial(MobileNetV2, strides=(1, 1))}}
