"""Time of one layer's approximated weight gradient next to the dense one (table 1 of Wang and Nelaturu 2019)."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from statistics import median

import torch
from torch import nn
from tqdm import tqdm

from adagp.training.top1 import top1_weight_gradient

SHAPES = (256, 256, 8), (128, 128, 16), (512, 512, 4), (512, 512, 2), (64, 64, 32), (16, 16, 32), (32, 32, 16), (64, 64, 8)
"""Input channels, output channels, height and width of the paper's layers; their kernels are 3×3."""


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """Milliseconds. ``total`` is what tensors in PyTorch's usual order take, ``kernel`` those that lie channels last
    already; ``dense`` and ``dense_channels_last`` are PyTorch's own weight gradients of the same tensors."""

    inputs: int
    outputs: int
    size: int
    dense: float
    total: float
    dense_channels_last: float
    kernel: float

    @property
    def copies(self) -> float:
        """What bringing the channels last costs."""
        return self.total - self.kernel

    @property
    def factor(self) -> float:
        return self.dense / self.total

    @property
    def factor_channels_last(self) -> float:
        return self.dense_channels_last / self.kernel


def time_layers(shapes: tuple[tuple[int, int, int], ...] = SHAPES, *, batch: int = 128, rounds: int = 9,
                device: torch.device | str = "cpu") -> list[LayerTime]:
    """Medians of ``rounds`` of each, taken in turn, so that what else the machine does meets them alike."""
    return [time_layer(*shape, batch=batch, rounds=rounds, device=device)
            for shape in tqdm(shapes, desc="layers", unit="layer")]


def time_layer(inputs: int, outputs: int, size: int, *, batch: int, rounds: int, device: torch.device | str) -> LayerTime:
    work = {}
    for name, order in (("", torch.contiguous_format), ("_channels_last", torch.channels_last)):
        layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False).to(device, memory_format=order)
        data, gradient = (torch.randn(batch, channels, size, size, device=device).contiguous(memory_format=order)
                          for channels in (inputs, outputs))
        work[f"dense{name}"] = _dense(layer, data, gradient)
        work["kernel" if name else "total"] = _top1(layer, data, gradient, order)
    return LayerTime(inputs=inputs, outputs=outputs, size=size, **_milliseconds(work, rounds, torch.device(device)))


def _dense(layer: nn.Conv2d, data: torch.Tensor, gradient: torch.Tensor) -> Callable[[], torch.Tensor]:
    weight = layer.weight.detach()
    return lambda: torch.ops.aten.convolution_backward(
        gradient, data, weight, None, layer.stride, layer.padding, layer.dilation, False, [0, 0], 1, [False, True, False])[1]


def _top1(layer: nn.Conv2d, data: torch.Tensor, gradient: torch.Tensor, order: torch.memory_format):
    """With the copy into the weight's own order, which autograd makes of what is in another."""
    return torch.no_grad()(lambda: top1_weight_gradient(layer, data, gradient).contiguous(memory_format=order))


def _milliseconds(work: dict[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, float]:
    times = {name: [] for name in work}
    for number in range(rounds + 1):  # the first is for warming up
        for name, function in work.items():
            seconds = stopwatch(function, device)
            if number:
                times[name].append(1000 * seconds)
    return {name: median(values) for name, values in times.items()}


def stopwatch(function: Callable[[], object], device: torch.device) -> float:
    """Seconds until ``function`` and what it began on ``device`` are done."""
    start = time.perf_counter()
    function()
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - start


def report(times: list[LayerTime]) -> list[dict]:
    return [asdict(each) | {"factor": each.factor, "factor_channels_last": each.factor_channels_last} for each in times]


def from_report(layers: list[dict]) -> list[LayerTime]:
    """The inverse of :func:`report`."""
    return [LayerTime(**{field.name: each[field.name] for field in fields(LayerTime)}) for each in layers]
