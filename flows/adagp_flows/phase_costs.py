"""Multiply-accumulates of a batch by phase: the time of an accelerator whose array is always busy."""

from dataclasses import dataclass
from math import prod

import torch
from torch import nn

from adagp.models import LayerShape, layer_shapes
from adagp.training import LearnedFeedback, PaperPredictor, Predictor


@dataclass(frozen=True, kw_only=True)
class PhaseCosts:
    """Multiply-accumulates of a batch. ``plain`` is back-propagation without predictor; ``bp`` has its training
    on top (but not the measuring of its quality, which only reports and the adaptive schedule need)."""

    plain: int
    bp: int
    gp: int

    def time(self, bp: int, gp: int) -> float:
        """So many batches of each phase, in batches of plain back-propagation."""
        return (bp * self.bp + gp * self.gp) / self.plain


def phase_costs(model: nn.Module, inputs: torch.Tensor, predictor: Predictor) -> PhaseCosts:
    """Of a batch ``inputs``; ``predictor`` may be a control, which then computes nothing in Phase GP. The
    first layer needs no gradient of its input."""
    layers = [shape for shape in layer_shapes(model, inputs) if shape.weight]
    forward = sum(layer.multiply_accumulates for layer in layers)
    plain = 3 * forward - layers[0].multiply_accumulates
    if not predictor.needs_batch:
        return PhaseCosts(plain=plain, bp=plain, gp=0)
    training, prediction = (_paper if isinstance(predictor, PaperPredictor) else _feedback)(layers, len(inputs), predictor)
    return PhaseCosts(plain=plain, bp=plain + training, gp=forward + prediction)


def _outputs(layer: LayerShape) -> int:
    """Output channels or features."""
    return layer.output[-1] if layer.kind == "linear" else layer.output[1]


def _paper(layers: list[LayerShape], batch: int, predictor: PaperPredictor) -> tuple[int, int]:
    """The mean over the batch is a product with ones. Training costs a forward pass and, of its
    products, those of both gradients."""
    means = sum(prod(layer.output) for layer in layers)
    size, channels = predictor.size, predictor.channels
    forward = sum(_outputs(layer) * (9 * channels * size ** 2 + channels * (size // 2) ** 2 * prod(layer.weight) // _outputs(layer))
                  for layer in layers)
    return means + 3 * forward, means + forward


def _feedback(layers: list[LayerShape], batch: int, predictor: LearnedFeedback) -> tuple[int, int]:
    """Training adds up the error times the gradients of the outputs. Prediction solves for the maps, and makes
    pseudo-images and their weight gradients, or with masks a gradient per sample and the weight's."""
    rank = min(layers[-1].output[-1], predictor.rank)
    training = sum(rank * prod(layer.output) for layer in layers) + rank ** 2 * batch
    solution = sum(rank ** 2 * prod(layer.output) // batch for layer in layers)
    if predictor.masks:
        return training, solution + sum(rank * prod(layer.output) + layer.multiply_accumulates for layer in layers)
    return training, solution + sum(rank * prod(layer.input) + layer.multiply_accumulates * rank // batch for layer in layers)
