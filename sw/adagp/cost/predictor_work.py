"""What the paper's predictor (section 3.6) asks of an array for one layer."""

from dataclasses import dataclass
from math import prod

from adagp.models.shapes import LayerShape
from adagp.spec.isa import Pass

from .products import Work, lower
from .traffic import OPERAND_BYTES, SUM_BYTES, Traffic


KINDS = "convolution", "transposed convolution", "linear"
"""Layers with weights."""


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """Sizes that the paper leaves open, 256 features by default, and the ``kinds`` of layers that it predicts for;
    others are updated in Phase BP alone.

    The outputs of a layer are averaged over the batch and pooled to ``size`` × ``size``. Each output channel is a
    sample of a 3×3 convolution to ``channels``, ReLU, 2×2 pooling and a linear layer, whose outputs are one
    gradient for each weight of an output channel. The linear layer is as wide as the largest layer of a network
    needs; the outputs that a layer does not need are not computed.

    The average is added up as the outputs leave the array and takes no time there, only accesses of the buffer
    (:meth:`averaging`). Pooling is not counted.
    """

    size: int = 8
    channels: int = 16
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self):
        if not set(self.kinds) <= set(KINDS):
            raise ValueError(f"Predictor.kinds must be of {', '.join(KINDS)}, not {self.kinds!r}")
        for name, rule, valid in (("size", "an even integer of at least 2", lambda v: v >= 2 and v % 2 == 0),
                                  ("channels", "an integer of at least 1", lambda v: v >= 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not valid(value):
                raise ValueError(f"Predictor.{name} must be {rule}, not {value!r}")

    @property
    def features(self) -> int:
        return (self.size // 2) ** 2 * self.channels

    def layers(self, layer: LayerShape) -> tuple[LayerShape, ...]:
        """Its own two layers, as they predict for ``layer``; none if they do not."""
        if layer.kind not in self.kinds:
            return ()
        samples, size, channels = _output_channels(layer), self.size, self.channels
        outputs = prod(layer.weight) // samples
        return (
            LayerShape(name=f"{layer.name}: predictor's convolution", kind="convolution", input=(samples, 1, size, size),
                       weight=(channels, 1, 3, 3), output=(samples, channels, size, size), padding=(1, 1)),
            LayerShape(name=f"{layer.name}: predictor's linear layer", kind="linear", input=(samples, self.features),
                       weight=(outputs, self.features), output=(samples, outputs)))

    def predicting(self, layer: LayerShape) -> tuple[Work, ...]:
        """The forward pass."""
        return tuple(work for own in self.layers(layer) for work in lower(own)[Pass.FORWARD])

    def training(self, layer: LayerShape) -> tuple[Work, ...]:
        """The backward pass: both layers' weight gradients and, between them, the linear layer's input gradient."""
        works = [lower(own, sees_input=first) for first, own in zip((True, False), self.layers(layer))]
        return tuple(work for passes in works for each in (Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT)
                     for work in passes.get(each, ()))

    def weights(self, layer: LayerShape) -> int:
        """How many of its weights ``layer`` uses; biases are not counted."""
        return sum(prod(own.weight) for own in self.layers(layer))

    def predictions(self, layer: LayerShape) -> int:
        """How many gradients it predicts for ``layer``: one for each of its weights, or none."""
        return prod(layer.weight) if layer.kind in self.kinds else 0

    def averaging(self, layer: LayerShape) -> Traffic:
        """Adding each output to the average of its channel and pixel, and pooling that, in the buffer. The rows of a
        linear layer are averaged to one."""
        if layer.kind not in self.kinds:
            return Traffic()
        channels, outputs, images = _output_channels(layer), prod(layer.output), layer.output[0]
        return Traffic(buffer_reads=(outputs + outputs // images) * SUM_BYTES,
                       buffer_writes=outputs * SUM_BYTES + channels * self.size ** 2 * OPERAND_BYTES)


def _output_channels(layer: LayerShape) -> int:
    return layer.output[-1] if layer.kind == "linear" else layer.output[1]
