"""What the three passes of training ask of an array: each layer as convolutions, which are matrix products."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from math import gcd, prod

import numpy as np

from adagp.models.shapes import LayerShape
from adagp.spec.isa import Pass

Count = int | np.ndarray
"""An integer, or integers of equal number, one for each of several products."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """``groups`` convolutions of one size that share nothing, as the array sees them.

    Each convolves ``images`` × ``channels`` planes with ``filters`` × ``channels`` kernels of ``kernel_rows`` ×
    ``kernel_columns`` to ``images`` × ``filters`` planes of ``rows`` × ``columns``, adding over channels. Windows
    begin a step apart, taps lie a dilation apart. ``source`` counts the elements of the tensor that windows are cut
    from, of all groups. Several works on one source have ``part`` 0, 1 and so on; ``footprint`` counts the elements
    of all tensors that they read and write.

    As a matrix product it is (vectors, contraction) · (contraction, filters): a vector is what a kernel sees.

    Every field is an integer, or all are int64 arrays of one length (:func:`stack`).
    """

    groups: Count
    images: Count
    filters: Count
    channels: Count
    kernel_rows: Count
    kernel_columns: Count
    rows: Count
    columns: Count
    source: Count
    row_step: Count = 1
    column_step: Count = 1
    row_dilation: Count = 1
    column_dilation: Count = 1
    part: Count = 0
    footprint: Count = 0

    @property
    def contraction(self) -> Count:
        return self.channels * self.kernel_rows * self.kernel_columns

    @property
    def vectors(self) -> Count:
        return self.images * self.rows * self.columns

    @property
    def matrix(self) -> Count:
        """Elements of the kernels, of all groups."""
        return self.groups * self.contraction * self.filters

    @property
    def result(self) -> Count:
        """Elements of the result, of all groups."""
        return self.groups * self.vectors * self.filters

    @property
    def multiply_accumulates(self) -> Count:
        """Of dense arithmetic: products with the zeros of padding count."""
        return self.result * self.contraction


def stack(works: Sequence[Work]) -> Work:
    """One Work whose fields are arrays, with an entry for each of ``works``."""
    return Work(**{field.name: np.array([getattr(work, field.name) for work in works], dtype=np.int64)
                   for field in fields(Work)})


def lower(layer: LayerShape, *, sees_input: bool = False) -> dict[Pass, tuple[Work, ...]]:
    """The works of each pass of ``layer``, one after the other on the array.

    ===============  =================================  ==========================  ==========================
    pass             contraction                        filters                     vectors
    ===============  =================================  ==========================  ==========================
    forward          channels of a group × taps         output channels of a group  batch × output pixels
    input gradient   output channels of a group × taps  channels of a group         batch × input pixels
    weight gradient  batch × output pixels              output channels of a group  channels of a group × taps
    ===============  =================================  ==========================  ==========================

    In the weight gradient, the gradient of the output is the kernel that is moved over the input, so it is what a
    weight-stationary array keeps (this project's machine keeps the input instead). The input gradient of a strided
    convolution is one work for each class of input pixels that see the same taps, so no inserted zero is
    multiplied and it takes the multiply-accumulates of the forward pass, but for the borders; pixels that see no
    tap are no work. A transposed convolution is the same with forward pass and input gradient exchanged. A linear
    layer is a 1×1 convolution of an image of one row with a pixel for each of its rows; a product of activations is
    a grouped one, with the gradients of both factors as input gradients and no weight gradient.

    A layer that ``sees_input`` of the network has no input gradient. ValueError, with the layer's name, if it is
    of no known kind, has other than one or two spatial dimensions, an empty tensor, or shapes that do not fit.
    """
    if layer.kind not in _LOWERINGS:
        raise ValueError(f"kind of layer {layer.name!r} must be {', '.join(_LOWERINGS)}, not {layer.kind!r}")
    for name in ("input", "weight", "output"):
        shape = getattr(layer, name)
        if not shape or min(shape) < 1:
            raise ValueError(f"{name} of layer {layer.name!r} must have extents of at least 1, not {shape!r}")
    passes = _LOWERINGS[layer.kind](layer)
    if sees_input:
        del passes[Pass.INPUT_GRADIENT]
    return passes


@dataclass(frozen=True)
class _Axis:
    """One spatial dimension of a convolution."""

    input: int
    output: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def windows(self) -> int:
        """Outputs that the other numbers give."""
        return (self.input + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    def classes(self) -> Iterator[tuple[int, int, int]]:
        """(pixels, taps, distance of the outputs that neighbouring taps lead to) of the classes of input pixels
        that see the same taps, if they see any."""
        for residue in range(self.stride):
            pixels = len(range((residue - self.padding) % self.stride, self.input, self.stride))
            taps = sum(tap * self.dilation % self.stride == residue for tap in range(self.kernel))
            if pixels and taps:
                yield pixels, taps, self.dilation // gcd(self.stride, self.dilation)


def _convolution(layer: LayerShape) -> dict[Pass, tuple[Work, ...]]:
    return _passes(layer, layer.input, layer.output, layer.weight)


def _transposed(layer: LayerShape) -> dict[Pass, tuple[Work, ...]]:
    """The convolution from its output to its input, run the other way."""
    passes = _passes(layer, layer.output, layer.input, layer.weight)
    return passes | {Pass.FORWARD: passes[Pass.INPUT_GRADIENT], Pass.INPUT_GRADIENT: passes[Pass.FORWARD]}


def _linear(layer: LayerShape) -> dict[Pass, tuple[Work, ...]]:
    (rows, inputs), (outputs, _) = layer.input, layer.weight
    return _passes(layer, (1, inputs, rows), (1, outputs, rows), (outputs, inputs, 1))


def _product(layer: LayerShape) -> dict[Pass, tuple[Work, ...]]:
    *batch, rows, inner = layer.input
    groups, columns = prod(batch), layer.weight[-1]
    passes = _passes(layer, (1, groups * inner, rows), (1, groups * columns, rows), (groups * columns, inner, 1))
    both = passes[Pass.INPUT_GRADIENT] + passes[Pass.WEIGHT_GRADIENT]
    return {Pass.FORWARD: passes[Pass.FORWARD], Pass.INPUT_GRADIENT: both}


_LOWERINGS = {"convolution": _convolution, "transposed convolution": _transposed, "linear": _linear, "product": _product}


def _passes(layer: LayerShape, input: tuple[int, ...], output: tuple[int, ...], weight: tuple[int, ...]
            ) -> dict[Pass, tuple[Work, ...]]:
    """Of the convolution of (batch, channels, \\*extent) ``input`` with (filters, channels of a group, \\*kernel)
    ``weight``, with the stride, padding and dilation of ``layer``."""
    down, across = _axes(layer, input[2:], output[2:], weight[2:])
    groups = input[1] // weight[1]
    if (input[0], input[1], weight[0] % max(groups, 1)) != (output[0], groups * weight[1], 0) or weight[0] != output[1]:
        raise ValueError(f"input, weight and output of layer {layer.name!r} must fit each other, not be {layer.input}, "
                         f"{layer.weight} and {layer.output}")
    return dict(zip((Pass.FORWARD, Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT), _works(
        groups, input[0], weight[0] // groups, weight[1], down, across)))


@lru_cache(maxsize=4096)
def _works(groups: int, batch: int, filters: int, channels: int, down: _Axis, across: _Axis
           ) -> tuple[tuple[Work, ...], ...]:
    """Of forward pass, input gradient and weight gradient; ``filters`` and ``channels`` are of a group. Networks
    repeat themselves, so much of this has been asked before."""
    inputs = batch * groups * channels * down.input * across.input
    outputs = batch * groups * filters * down.output * across.output
    forward = Work(
        groups=groups, images=batch, filters=filters, channels=channels, source=inputs,
        kernel_rows=down.kernel, kernel_columns=across.kernel, rows=down.output, columns=across.output,
        row_step=down.stride, column_step=across.stride, row_dilation=down.dilation, column_dilation=across.dilation)
    input_gradient = [
        Work(groups=groups, images=batch, filters=channels, channels=filters, source=outputs,
             kernel_rows=row_taps, kernel_columns=column_taps, rows=rows, columns=columns,
             row_dilation=row_distance, column_dilation=column_distance)
        for rows, row_taps, row_distance in down.classes() for columns, column_taps, column_distance in across.classes()]
    weight_gradient = Work(
        groups=groups, images=channels, filters=filters, channels=batch, source=inputs,
        kernel_rows=down.output, kernel_columns=across.output, rows=down.kernel, columns=across.kernel,
        row_step=down.dilation, column_step=across.dilation, row_dilation=down.stride, column_dilation=across.stride)
    return _parts([forward]), _parts(input_gradient), _parts([weight_gradient])


def _parts(works: list[Work]) -> tuple[Work, ...]:
    footprint = sum(work.matrix + work.result for work in works) + max((work.source for work in works), default=0)
    return tuple(replace(work, part=part, footprint=footprint) for part, work in enumerate(works))


def _axes(layer: LayerShape, inputs: tuple[int, ...], outputs: tuple[int, ...], kernel: tuple[int, ...]) -> list[_Axis]:
    """Rows and columns; a sequence is one row."""
    dimensions = len(kernel)
    if not len(inputs) == len(outputs) == dimensions or dimensions not in (1, 2):
        raise ValueError(f"layer {layer.name!r} must have one or two spatial dimensions, not {dimensions}")
    axes = [_Axis(*axis) for axis in zip(inputs, outputs, kernel, layer.stride or (1,) * dimensions,
                                         layer.padding or (0,) * dimensions, layer.dilation or (1,) * dimensions)]
    for axis in axes:
        if axis.windows != axis.output:
            raise ValueError(f"layer {layer.name!r} must have {axis.windows} windows with stride {axis.stride}, padding "
                             f"{axis.padding} and dilation {axis.dilation}, not {axis.output}")
    return [_Axis(1, 1, 1, 1, 0, 1)] * (2 - dimensions) + axes
