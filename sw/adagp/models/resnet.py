"""Residual networks (He et al. 2015).

ResNet50, 101 and 152 are torchvision's, with its parameter names: the stride is in the 3×3 convolution
("v1.5"). Their ``cifar`` form begins with a 3×3 convolution and keeps the image's extent up to the first
stage, instead of a quarter of it.

ResNet-20 and ResNet-14 are the paper's networks for CIFAR, of 6n+2 layers. Shortcuts that change shape
are projections (the paper's option B) here, 1×1 convolutions with batch normalisation; its option A, zero
padding, has 2,752 parameters fewer in ResNet-20.
"""

from functools import partial

import torch
from torch import nn

from .blocks import he_fan_out, initialise


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation, and a way around them."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, planes, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions with batch normalisation, to 4·planes channels, and a way around them."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int = 1):
        super().__init__()
        outputs = self.expansion * planes
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.relu(self.bn3(self.conv3(out)) + identity)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module | None:
    """None where shapes are equal."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """(batch, channels, height, width) -> (batch, classes).

    Stage i has ``depths[i]`` blocks of ``widths[i]`` planes; all but the first halve the image. Without
    ``shrink`` the layers before them leave its extent as it is, else they divide it by 4."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...], widths: tuple[int, ...], *,
                 shrink: bool, classes: int, channels: int):
        super().__init__()
        inputs, self.stages = widths[0], len(depths)
        self.conv1 = nn.Conv2d(channels, inputs, 7, 2, 3, bias=False) if shrink else \
            nn.Conv2d(channels, inputs, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if shrink else nn.Identity()
        for stage, (depth, planes) in enumerate(zip(depths, widths)):
            blocks = []
            for number in range(depth):
                blocks.append(block(inputs, planes, stride=2 if stage and not number else 1))
                inputs = planes * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)
        initialise(self, convolution=he_fan_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


WIDE, NARROW = (64, 128, 256, 512), (16, 32, 64)
DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}

NETWORKS = {
    **{name: {"imagenet": partial(ResNet, Bottleneck, depths, WIDE, shrink=True),
              "cifar": partial(ResNet, Bottleneck, depths, WIDE, shrink=False)} for name, depths in DEPTHS.items()},
    **{f"resnet{6 * n + 2}": {"cifar": partial(ResNet, BasicBlock, (n, n, n), NARROW, shrink=False)} for n in (2, 3)},
}
