"""InceptionV3 (Szegedy et al. 2015) and InceptionV4 (Szegedy et al. 2016).

InceptionV3 is torchvision's, InceptionV4 that of timm and pretrainedmodels, with their parameter names. They
divide an image by 8 before the first block and need 75×75 pixels. In the ``cifar`` forms the layers before
the first block keep the extent: strides are 1, convolutions padded, and InceptionV3's two poolings gone.
So the blocks see 32×32, 15×15 and 7×7 pixels of such an image, much as the 35×35, 17×17 and 8×8 of one of
299×299.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import nn

from .blocks import initialise, require_image
from .mixed import BasicConv2d, Mixed, Step, Unit, chain

Branches = Mapping[str, nn.Module | Sequence[Step]]
ACROSS, DOWN = (1, 7), (7, 1)
SMALLEST, SMALLEST_JUDGED_TWICE = {True: 75, False: 7}, {True: 299, False: 35}
"""Pixels that a network needs, by whether its first layers shrink the image; and with two classifiers."""


def halve(outputs: int) -> Unit:
    return Unit(outputs, 3, stride=2, padded=False)


def _split(outputs: int) -> tuple[Unit, Unit]:
    """Side by side."""
    return Unit(outputs, (1, 3)), Unit(outputs, (3, 1))


class InceptionV3(nn.Module):
    """(batch, channels, height, width) -> (batch, classes).

    With ``auxiliary``, a second classifier at the middle: in training the result is then the pair of both
    classifiers' outputs, and images must be larger: 299×299 pixels, 35×35 for a network that does not
    ``shrink`` them first."""

    def __init__(self, *, shrink: bool, classes: int, channels: int, auxiliary: bool = False, dropout: float = 0.5):
        super().__init__()
        self.smallest, self.smallest_judged_twice = SMALLEST[shrink], SMALLEST_JUDGED_TWICE[shrink]
        stride, padded = (2, False) if shrink else (1, True)
        self.Conv2d_1a_3x3 = Unit(32, 3, stride, padded).after(channels)
        self.Conv2d_2a_3x3 = Unit(32, 3, padded=padded).after(32)
        self.Conv2d_2b_3x3 = Unit(64, 3).after(32)
        self.maxpool1 = nn.MaxPool2d(3, 2) if shrink else nn.Identity()
        self.Conv2d_3b_1x1 = Unit(80, 1).after(64)
        self.Conv2d_4a_3x3 = Unit(192, 3, padded=padded).after(80)
        self.maxpool2 = nn.MaxPool2d(3, 2) if shrink else nn.Identity()
        self.Mixed_5b = Mixed(192, _v3_a(32))
        self.Mixed_5c = Mixed(256, _v3_a(64))
        self.Mixed_5d = Mixed(288, _v3_a(64))
        self.Mixed_6a = Mixed(288, _v3_b())
        self.Mixed_6b = Mixed(768, v3_c(128))
        self.Mixed_6c = Mixed(768, v3_c(160))
        self.Mixed_6d = Mixed(768, v3_c(160))
        self.Mixed_6e = Mixed(768, v3_c(192))
        self.AuxLogits = AuxiliaryClassifier(768, classes) if auxiliary else None
        self.Mixed_7a = Mixed(768, _v3_d())
        self.Mixed_7b = Mixed(1280, _v3_e())
        self.Mixed_7c = Mixed(2048, _v3_e())
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2048, classes)
        draw = partial(nn.init.trunc_normal_, std=0.1)
        initialise(self, convolution=draw, linear=draw)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        judged_twice = self.training and self.AuxLogits is not None
        require_image(x, self.smallest_judged_twice if judged_twice else self.smallest, "InceptionV3")
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        middle = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(middle)))
        logits = self.fc(torch.flatten(self.dropout(self.avgpool(x)), 1))
        return (logits, self.AuxLogits(middle)) if judged_twice else logits


class AuxiliaryClassifier(nn.Module):
    """(batch, inputs, 17 or more, 17 or more) -> (batch, classes)."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv0 = BasicConv2d(inputs, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(768, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.flatten(self.mean(self.conv1(self.conv0(self.pool(x)))), 1))


def _average() -> nn.Module:
    return nn.AvgPool2d(3, stride=1, padding=1)


def _v3_a(pooled: int) -> Branches:
    return {"branch1x1": [Unit(64, 1)],
            "branch5x5": [Unit(48, 1), Unit(64, 5)],
            "branch3x3dbl": [Unit(64, 1), Unit(96, 3), Unit(96, 3)],
            "branch_pool": [_average(), Unit(pooled, 1)]}


def _v3_b() -> Branches:
    return {"branch3x3": [halve(384)],
            "branch3x3dbl": [Unit(64, 1), Unit(96, 3), halve(96)],
            "branch_pool": nn.MaxPool2d(3, 2)}


def v3_c(width: int, outputs: int = 192) -> Branches:
    """Kernels of 1×7 and 7×1 with ``width`` channels between them; ``outputs`` of each of four branches."""
    return {"branch1x1": [Unit(outputs, 1)],
            "branch7x7": [Unit(width, 1), Unit(width, ACROSS), Unit(outputs, DOWN)],
            "branch7x7dbl": [Unit(width, 1), Unit(width, DOWN), Unit(width, ACROSS), Unit(width, DOWN),
                             Unit(outputs, ACROSS)],
            "branch_pool": [_average(), Unit(outputs, 1)]}


def _v3_d() -> Branches:
    return {"branch3x3": [Unit(192, 1), halve(320)],
            "branch7x7x3": [Unit(192, 1), Unit(192, ACROSS), Unit(192, DOWN), halve(192)],
            "branch_pool": nn.MaxPool2d(3, 2)}


def _v3_e() -> Branches:
    return {"branch1x1": [Unit(320, 1)],
            "branch3x3": [Unit(384, 1), _split(384)],
            "branch3x3dbl": [Unit(448, 1), Unit(384, 3), _split(384)],
            "branch_pool": [_average(), Unit(192, 1)]}


class InceptionV4(nn.Module):
    """(batch, channels, height, width) -> (batch, classes)."""

    def __init__(self, *, shrink: bool, classes: int, channels: int, dropout: float = 0.0):
        super().__init__()
        self.smallest = SMALLEST[shrink]
        self.features = nn.Sequential(
            *_v4_stem(shrink, channels), *(_v4_a() for _ in range(4)), _v4_reduction_a(),
            *(_v4_b() for _ in range(7)), _v4_reduction_b(), *(_v4_c() for _ in range(3)))
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(1536, classes)
        initialise(self, convolution=partial(nn.init.trunc_normal_, std=0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require_image(x, self.smallest, "InceptionV4")
        return self.last_linear(self.dropout(torch.flatten(self.avg_pool(self.features(x)), 1)))


def _v4_stem(shrink: bool, channels: int) -> list[nn.Module]:
    padded = not shrink
    unit = partial(Unit, kernel=3, padded=padded)
    reduced = partial(unit, stride=2 if shrink else 1)
    pool = partial(nn.MaxPool2d, 3, *((2, 0) if shrink else (1, 1)))
    return [reduced(32).after(channels), unit(32).after(32), Unit(64, 3).after(32),
            Mixed(64, {"maxpool": pool(), "conv": reduced(96).after(64)}),
            Mixed(160, {"branch0": chain(160, Unit(64, 1), unit(96)),
                        "branch1": chain(160, Unit(64, 1), Unit(64, ACROSS), Unit(64, DOWN), unit(96))}),
            Mixed(192, {"conv": reduced(192).after(192), "maxpool": pool()})]


def _v4_pooled(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), Unit(outputs, 1).after(inputs))


def _v4_a() -> Mixed:
    return Mixed(384, {"branch0": [Unit(96, 1)],
                       "branch1": chain(384, Unit(64, 1), Unit(96, 3)),
                       "branch2": chain(384, Unit(64, 1), Unit(96, 3), Unit(96, 3)),
                       "branch3": _v4_pooled(384, 96)})


def _v4_reduction_a() -> Mixed:
    return Mixed(384, {"branch0": [halve(384)],
                       "branch1": chain(384, Unit(192, 1), Unit(224, 3), halve(256)),
                       "branch2": nn.MaxPool2d(3, 2)})


def _v4_b() -> Mixed:
    return Mixed(1024, {"branch0": [Unit(384, 1)],
                        "branch1": chain(1024, Unit(192, 1), Unit(224, ACROSS), Unit(256, DOWN)),
                        "branch2": chain(1024, Unit(192, 1), Unit(192, DOWN), Unit(224, ACROSS), Unit(224, DOWN),
                                         Unit(256, ACROSS)),
                        "branch3": _v4_pooled(1024, 128)})


def _v4_reduction_b() -> Mixed:
    return Mixed(1024, {"branch0": chain(1024, Unit(192, 1), halve(192)),
                        "branch1": chain(1024, Unit(256, 1), Unit(256, ACROSS), Unit(320, DOWN), halve(320)),
                        "branch2": nn.MaxPool2d(3, 2)})


def _v4_c() -> Mixed:
    return Mixed(1536, {"branch0": [Unit(256, 1)],
                        "branch1": [Unit(384, 1), _split(256)],
                        "branch2": [Unit(384, 1), Unit(448, (3, 1)), Unit(512, (1, 3)), _split(256)],
                        "branch3": _v4_pooled(1536, 256)}, first=0)


NETWORKS = {
    "inceptionv3": {"imagenet": partial(InceptionV3, shrink=True), "cifar": partial(InceptionV3, shrink=False)},
    "inceptionv4": {"imagenet": partial(InceptionV4, shrink=True), "cifar": partial(InceptionV4, shrink=False)},
}
