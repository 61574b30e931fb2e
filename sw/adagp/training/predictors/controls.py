"""Controls: what Phase GP would be without any prediction. None of them looks at the batch."""

from collections.abc import Callable

import torch
from torch import nn

from .predictor import Predictor


class Skip(Predictor):
    """Batches of Phase GP are left out."""

    needs_batch = False


class ZeroGradient(Predictor):
    """All gradients are zero, so only momentum and weight decay move the weights."""

    needs_batch = False

    def prepare(self, layers, parameters):
        self._parameters = parameters

    def predict_parameters(self):
        return {parameter: torch.zeros_like(parameter) for parameter in self._parameters if parameter.requires_grad}


class _FromLastTrue(Predictor):
    """Keeps ``keep(gradient)`` of each parameter's last true gradient, and predicts ``make`` of it."""

    needs_batch = False

    def __init__(self, keep: Callable[[torch.Tensor], torch.Tensor],
                 make: Callable[[nn.Parameter, torch.Tensor], torch.Tensor]):
        self._keep, self._make = keep, make

    def prepare(self, layers, parameters):
        self._parameters = parameters
        self._last: list[torch.Tensor | None] = [None] * len(parameters)

    def learn(self, gradients):
        self._last = [None if parameter.grad is None else self._keep(parameter.grad) for parameter in self._parameters]
        return {}

    def predict_parameters(self):
        return {parameter: self.replicas.first(self._make(parameter, last))
                for parameter, last in zip(self._parameters, self._last) if last is not None and parameter.requires_grad}

    def state_dict(self):
        return {"last": self._last}

    def load_state_dict(self, state):
        self._last = [None if last is None else last.to(parameter.device, copy=True)
                      for parameter, last in zip(self._parameters, state["last"], strict=True)]


def last_gradient() -> Predictor:
    """The last true gradients again."""
    return _FromLastTrue(keep=torch.clone, make=lambda parameter, last: last.clone())


def random_gradient() -> Predictor:
    """Normal random gradients, for each parameter as large in the root mean square as its last true one."""
    return _FromLastTrue(keep=lambda gradient: gradient.square().mean().sqrt(),
                         make=lambda parameter, size: torch.randn_like(parameter) * size)
