"""YOLOv3 (Redmon and Farhadi 2018): Darknet-53 and three heads, as in the authors' ``yolov3.cfg``."""

from functools import partial

import torch
from torch import nn

from .blocks import convolution_unit, initialise

STRIDES = (32, 16, 8)
"""Pixels of the image per cell of each of the three output maps."""
ANCHORS = (((116, 90), (156, 198), (373, 326)), ((30, 61), (62, 45), (59, 119)), ((10, 13), (16, 30), (33, 23)))
"""Widths and heights in pixels of the boxes that each map's cells start from."""
STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))
"""Darknet-53's channels and residual blocks, each stage at half the extent of the one before."""

unit = partial(convolution_unit, activation=partial(nn.LeakyReLU, 0.1))


class Residual(nn.Module):
    """1×1 to half the channels and 3×3 back, and a way around them."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(unit(channels, channels // 2, 1), unit(channels // 2, channels, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class Darknet53(nn.Module):
    """(batch, channels, height, width) -> maps of 1/32, 1/16 and 1/8 of the extent, with 1024, 512 and
    256 channels."""

    def __init__(self, channels: int):
        super().__init__()
        width = STAGES[0][0] // 2
        self.stem = unit(channels, width, 3)
        self.stages = nn.ModuleList()
        for outputs, blocks in STAGES:
            self.stages.append(nn.Sequential(unit(width, outputs, 3, stride=2), *(Residual(outputs) for _ in range(blocks))))
            width = outputs

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[:-4:-1]


class Head(nn.Module):
    """A map (batch, inputs, height, width) -> its predictions (batch, anchors, height, width, values), and
    the features (batch, width, height, width) that the next head shares."""

    def __init__(self, inputs: int, width: int, anchors: int, values: int):
        super().__init__()
        self.shared = nn.Sequential(unit(inputs, width, 1), unit(width, 2 * width, 3), unit(2 * width, width, 1),
                                    unit(width, 2 * width, 3), unit(2 * width, width, 1))
        self.predict = nn.Sequential(unit(width, 2 * width, 3), nn.Conv2d(2 * width, anchors * values, 1))
        self.anchors, self.values = anchors, values

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shared = self.shared(x)
        return self.predict(shared).unflatten(1, (self.anchors, self.values)).permute(0, 1, 3, 4, 2), shared


class YOLOv3(nn.Module):
    """(batch, channels, height, width), extents multiples of 32 (the paper's: 416) -> a list of three raw maps
    (batch, 3 anchors, height/stride, width/stride, 5 + classes), for ``strides`` and ``anchors``.

    The last axis is x, y, width, height, objectness and classes, before any sigmoid or exponential.
    """

    strides, anchors = STRIDES, ANCHORS

    def __init__(self, *, classes: int, channels: int):
        super().__init__()
        self.backbone = Darknet53(channels)
        self.heads, self.bridges = nn.ModuleList(), nn.ModuleList()
        above = 0
        for (inputs, _), anchors in zip(reversed(STAGES), ANCHORS):
            width = inputs // 2
            if above:
                self.bridges.append(nn.Sequential(unit(above, width, 1), nn.Upsample(scale_factor=2)))
                inputs += width
            self.heads.append(Head(inputs, width, len(anchors), 5 + classes))
            above = width
        initialise(self, convolution=partial(nn.init.kaiming_normal_, a=0.1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        if isinstance(x, torch.Tensor) and any(extent % STRIDES[0] or not extent for extent in x.shape[-2:]):
            raise ValueError(f"YOLOv3: height and width of images must be multiples of {STRIDES[0]}, "
                             f"not {x.shape[-2]}×{x.shape[-1]}")
        coarse, *finer = self.backbone(x)
        predictions, shared = self.heads[0](coarse)
        outputs = [predictions]
        for features, bridge, head in zip(finer, self.bridges, self.heads[1:]):
            predictions, shared = head(torch.cat([bridge(shared), features], 1))
            outputs.append(predictions)
        return outputs


NETWORKS = {"yolov3": {"detection": YOLOv3}}
