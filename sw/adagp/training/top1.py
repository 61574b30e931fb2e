"""Weight gradient of a convolution from one output gradient of each image and channel."""

from math import prod

import torch
from torch import nn
from torch.nn import functional

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d

_CHUNK = 1 << 20
"""Numbers of input and output gradient that a step takes on a CPU: its copies stay in the cache, and the
allocator uses them again where larger ones would be fresh pages each time."""


def top1_weight_gradient(layer: Convolution, inputs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """The weight gradient that ``layer`` would have, were each channel's output gradient all in one place.

    Of the output gradient of an image and a channel (images, channels, positions…) only the position of the
    largest magnitude is kept, with the sum over all positions as its value (algorithm 1 of Wang and Nelaturu
    2019); which of equal ones is not said. ``inputs`` is what the layer was called with. Both may have any
    floating-point type and memory format; the result has shape and type of ``layer.weight``. The dense
    product is never computed: each image and channel adds one patch of the inputs. It takes some thirty small
    operations besides, so a product of less than about 20 million multiply-accumulates is no slower.
    """
    dims = len(layer.kernel_size)
    if inputs.dim() == dims + 1:
        inputs, gradient = inputs.unsqueeze(0), gradient.unsqueeze(0)
    if not len(inputs):
        return torch.zeros_like(layer.weight)
    edges = layer._reversed_padding_repeated_twice  # as PyTorch computes it, also for "same"
    if layer.padding_mode != "zeros":
        inputs, edges = functional.pad(inputs, edges, layer.padding_mode), [0] * len(edges)
    first = [-before for before in reversed(edges[::2])]  # where the first position's first tap lies
    images = len(inputs)
    if inputs.is_cpu:
        images = max(1, _CHUNK // max(inputs.shape[1:].numel(), gradient.shape[1:].numel()))
    parts = (_patches(layer, first, *part) for part in zip(inputs.split(images), gradient.split(images)))
    total = next(parts)
    for part in parts:
        total += part
    return total.view(*layer.kernel_size, *layer.weight.shape[:2]).movedim((-2, -1), (0, 1))


def _patches(layer: Convolution, first: list[int], inputs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Sum over the images of the patches at the peaks, times their values: (taps · outputs, inputs per group)."""
    images, channels, *size = inputs.shape
    peaks, values = _peaks(gradient.flatten(2), layer.weight.dtype)
    index = _rows_of_taps(layer, first, size, gradient.shape[2:], peaks)
    rows = inputs.new_empty((images * prod(size) * layer.groups + 1, channels // layer.groups), dtype=layer.weight.dtype)
    _copy_channels_last(inputs.flatten(2), rows[:-1].view(images, prod(size), channels))
    rows[-1] = 0  # what lies outside
    return functional.embedding_bag(index.flatten(0, -2), rows, mode="sum",
                                    per_sample_weights=values.expand(index.shape).flatten(0, -2))


def _peaks(gradient: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions of the largest magnitudes of (images, outputs, positions), and sums: each (outputs, images)."""
    images, outputs, positions = gradient.shape
    if gradient.is_contiguous() and positions < 256:  # for short planes the maximum across channels is faster
        last = gradient.new_empty(images, positions, outputs)
        _copy_channels_last(gradient, last)
        gradient = last.transpose(1, 2)
    _, peaks = functional.adaptive_max_pool2d(gradient.abs().unsqueeze(2), 1, return_indices=True)
    return peaks.view(images, outputs).t().contiguous(), gradient.sum(-1, dtype=dtype).t().contiguous()


def _copy_channels_last(source: torch.Tensor, target: torch.Tensor) -> None:
    """(images, channels, pixels) to (images, pixels, channels)."""
    channels = source.shape[1]
    if source.is_contiguous() and source.shape[2] % 256 == 0:
        channels = 8  # pixels of more such planes would be in the same set of the cache and drive each other out
    for some, place in zip(source.split(channels, 1), target.split(channels, 2)):
        place.copy_(some.transpose(1, 2))


def _rows_of_taps(layer: Convolution, first: list[int], size: list[int], positions: list[int],
                  peaks: torch.Tensor) -> torch.Tensor:
    """Which row of (images · pixels · groups) each tap reads at each peak (outputs, images), or the number of
    rows where it reads outside the input: (taps…, outputs, images)."""
    outputs, images = peaks.shape
    dims, device = len(size), peaks.device
    rows = images * prod(size) * layer.groups
    kind = torch.int32 if (dims + 1) * rows < 1 << 31 else torch.int64

    def numbers(count: int, *shape: int) -> torch.Tensor:
        return torch.arange(count, dtype=kind, device=device).view(*shape)

    group = numbers(outputs, -1, 1) // (outputs // layer.groups)
    index = numbers(images, 1, -1) * (prod(size) * layer.groups) + group
    rest, scale = peaks.to(kind), layer.groups
    for dim in reversed(range(dims)):
        taps = numbers(layer.kernel_size[dim], -1, *[1] * (dims - 1 - dim), 1, 1) * layer.dilation[dim] + first[dim]
        place = rest % positions[dim] * layer.stride[dim] + taps
        index = index + torch.where((place >= 0) & (place < size[dim]), place * scale, rows)
        rest, scale = rest // positions[dim], scale * size[dim]
    return index.clamp_(max=rows)
