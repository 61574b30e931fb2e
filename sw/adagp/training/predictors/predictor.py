"""What a predictor of gradients is."""

from typing import NamedTuple

import torch
from torch import nn

from ..layers import Layer
from ..replicas import Replicas

Gradients = tuple[torch.Tensor | None, ...]
"""One for each of ``Layer.parameters``; None where nothing is predicted."""


class Prediction(NamedTuple):
    """Of some or all weights of a layer; both tensors of the same shape."""

    predicted: torch.Tensor
    true: torch.Tensor


class Predictor:
    """The interface; what a predictor does not override does nothing.

    In both phases ``observe`` is called in the forward pass of a layer. In Phase BP ``learn`` follows
    when all true gradients are there. In Phase GP ``predict`` follows: at once, or, if the predictor
    ``needs_error``, when the loss is known. With several forward passes per batch (gradient
    accumulation) ``observe`` and ``receive`` are called in each, ``learn`` after all, ``predict`` after
    all, or with ``needs_error`` in each, for a share of the sum. ``forget`` ends the batch, whether it
    came to ``learn`` or not. All but ``prepare`` run without autograd, and outside of autocast.
    """

    replicas: Replicas = Replicas()
    """Over which a predictor averages what is of the batch, so that all learn and predict the same."""

    needs_error: bool = False
    """Whether Phase GP needs the gradient of the loss with respect to the model's output."""

    needs_batch: bool = True
    """Whether Phase GP needs the batch to be run at all."""

    optimizer: torch.optim.Optimizer | None = None
    """That of the predictor's own parameters."""

    def prepare(self, layers: list[Layer], parameters: list[nn.Parameter]) -> None:
        """Called once, with the layers to serve and all parameters that are trained. ``ValueError`` for
        a layer that cannot be served."""

    def observe(self, layer: Layer, inputs: torch.Tensor, output: torch.Tensor, *, learning: bool) -> None:
        """A forward pass of ``layer`` in training; with ``learning`` it may have a graph."""

    def receive(self, error: torch.Tensor, *, learning: bool, scale: float) -> None:
        """The gradient of the loss with respect to the model's output, (samples, values). With ``learning``
        before any layer's gradient is known; it and all others then are ``scale`` times too large."""

    def learn(self, gradients: dict[Layer, torch.Tensor]) -> dict[Layer, Prediction]:
        """Learns from the true weight gradients of layers that were observed. Returns what it would have
        predicted before, as far as it is known."""
        return {}

    def predict(self, layer: Layer) -> Gradients:
        """From the latest observations."""
        return ()

    def predict_parameters(self) -> dict[nn.Parameter, torch.Tensor]:
        """Gradients of parameters that do not depend on the batch, for the end of a Phase GP."""
        return {}

    def forget(self) -> None:
        """Lets go of all that was observed and received in the batch."""

    def state_dict(self) -> dict:
        """Tensors, numbers, strings, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Goes back to the moment of :meth:`state_dict`."""
