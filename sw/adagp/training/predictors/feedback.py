"""Learned feedback: the gradients of a layer's output as a linear map of the error of the model's output.

With e the error (samples, values) and δ the gradient of a layer's output per sample, Phase BP keeps
decayed sums S_ee = Σ eᵀe and S_eδ = Σ eᵀδ. The least-squares map A = (S_ee + ridge)⁻¹·S_eδ predicts
δ' = e·A. As that is linear in e, the weight gradient of a batch needs only one pseudo-image per value
of e, x̃_c = Σ_n e_nc·x_n: it is the layer's ordinary weight gradient between x̃ and A.
"""

import torch
from torch.nn import functional

from ..layers import Layer, combined
from .predictor import Predictor


class LearnedFeedback(Predictor):
    """Predicts weights and biases of all layers when the loss is known.

    ``decay`` of the sums per batch of Phase BP; ``ridge`` relative to the mean of S_ee's diagonal.
    Errors of more than ``rank`` values per sample are reduced to so many by a fixed random projection
    (a count sketch from ``seed``). Maps of more than ``extent`` × ``extent`` pixels are kept pooled to that
    size; those of linear layers on sequences are means over the sequence.
    """

    needs_error = True

    def __init__(self, *, decay: float = 0.97, ridge: float = 1e-3, weighting: float = 0.0, rank: int = 64, extent: int = 16, seed: int = 0):
        for name, value, rule, valid in (("decay", decay, "in (0, 1)", 0 < decay < 1), ("ridge", ridge, "positive", ridge > 0),
                                         ("rank", rank, "an integer of at least 1", isinstance(rank, int) and rank >= 1),
                                         ("extent", extent, "an integer of at least 1", isinstance(extent, int) and extent >= 1)):
            if not valid:
                raise ValueError(f"LearnedFeedback.{name} must be {rule}, not {value!r}")
        self.decay, self.ridge, self.weighting, self.rank, self.extent, self.seed = decay, ridge, weighting, rank, extent, seed

    def prepare(self, layers, parameters):
        self._layers = {layer.name: layer for layer in layers}
        self._error_sums: torch.Tensor | None = None
        self._gradient_sums: dict[Layer, torch.Tensor] = {}
        self._inputs: dict[Layer, torch.Tensor] = {}
        self._predicted: dict[Layer, torch.Tensor] = {}
        self._shapes: dict[Layer, torch.Size] = {}
        self._absorbed: set[Layer] = set()
        self._begun, self._factor = False, None

    def observe(self, layer, inputs, output, *, learning):
        if learning:
            inputs = inputs.detach()
            output.register_hook(lambda gradient: self._absorb(layer, inputs, gradient))
        else:
            self._inputs[layer] = inputs
        self._shapes[layer] = output.shape

    def receive(self, error, *, learning, scale):
        self._scale = scale
        self._error = self._sketch(error.flatten(1).float()) / scale
        if not learning:
            return
        squares = self._error.square().sum(1, keepdim=True)
        self._weighted = self._error / (squares / squares.mean() + 1e-3) ** self.weighting
        if not self._begun:  # of the batch's forward passes the first
            self._factor = None if self._error_sums is None else self._factorised()
            squared = self._weighted.T @ self._error
            self._error_sums = squared if self._error_sums is None else self._error_sums.mul_(self.decay).add_(squared)
            self._begun = True
        else:
            self._error_sums.addmm_(self._weighted.T, self._error)

    def learn(self, gradients):
        predicted, self._predicted = self._predicted, {}
        self._absorbed.clear()
        self._begun, self._factor = False, None
        return predicted

    def predict(self, layer):
        if layer not in self._gradient_sums:
            return ()
        if self._factor is None:
            self._factor = self._factorised()
        maps = self._maps(layer)
        weight = self._weight_gradient(layer, self._inputs.pop(layer), maps).to(layer.weight.dtype)
        return (weight,) if layer.bias is None else (weight, self._bias_gradient(layer, maps).to(layer.bias.dtype))

    def state_dict(self):
        return {"error_sums": self._error_sums,
                "gradient_sums": {layer.name: sums for layer, sums in self._gradient_sums.items()}}

    def load_state_dict(self, state):
        device = next(iter(self._layers.values())).weight.device
        self._error_sums = None if state["error_sums"] is None else state["error_sums"].to(device, copy=True)
        self._gradient_sums = {self._layers[name]: sums.to(device, copy=True) for name, sums in state["gradient_sums"].items()}
        self._factor = None

    def _absorb(self, layer: Layer, inputs: torch.Tensor, gradient: torch.Tensor) -> None:
        """Adds a layer's true output gradient to its sums, after predicting from what they were."""
        if len(gradient) != len(self._error):
            raise ValueError(f"the output of layer {layer.name!r} must have as many samples as the model's, "
                             f"{len(self._error)}, not {len(gradient)}")
        with torch.no_grad():
            if self._factor is not None and layer in self._gradient_sums:
                weight = self._weight_gradient(layer, inputs, self._maps(layer))
                self._predicted[layer] = self._predicted[layer] + weight if layer in self._predicted else weight
            if layer.linear and gradient.dim() > 2:
                gradient = gradient.flatten(1, -2).mean(1)
            product = self._pooled(combined(self._weighted, gradient)) / self._scale
            if layer not in self._gradient_sums:
                self._gradient_sums[layer] = product
            elif self._gradient_sums[layer].shape != product.shape:
                raise ValueError(f"the output of layer {layer.name!r} must keep its shape, {tuple(self._gradient_sums[layer].shape[1:])}, "
                                 f"not {tuple(product.shape[1:])}")
            else:
                sums = self._gradient_sums[layer]
                (sums if layer in self._absorbed else sums.mul_(self.decay)).add_(product)
            self._absorbed.add(layer)

    def _factorised(self) -> torch.Tensor:
        """The Cholesky factor of S_ee with its ridge."""
        sums = self._error_sums
        ridge = self.ridge * sums.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
        return torch.linalg.cholesky(sums + ridge * torch.eye(len(sums), device=sums.device))

    def _weight_gradient(self, layer: Layer, inputs: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Predicted, from the layer's true input and its maps (values of the error, *output shape)."""
        if layer.linear and inputs.dim() > 2:
            inputs = inputs.flatten(1, -2).sum(1)
        return layer.weight_gradient(combined(self._error, inputs), maps)

    def _maps(self, layer: Layer) -> torch.Tensor:
        """A of a layer, from the sums as they are; of the size of its output."""
        sums = self._gradient_sums[layer]
        maps = torch.cholesky_solve(sums.flatten(1), self._factor).view_as(sums)
        extent = self._shapes[layer][2:]
        return maps if layer.linear or maps.shape[2:] == extent else functional.interpolate(maps, extent, mode="nearest-exact")

    def _bias_gradient(self, layer: Layer, maps: torch.Tensor) -> torch.Tensor:
        if layer.linear:
            return self._error.sum(0) @ maps * self._shapes[layer][1:-1].numel()
        return self._error.sum(0) @ maps.flatten(2).sum(2)

    def _pooled(self, maps: torch.Tensor) -> torch.Tensor:
        """Images of more than ``extent`` × ``extent`` pixels as they are kept."""
        if maps.dim() == 4 and max(maps.shape[2:]) > self.extent:
            return functional.adaptive_avg_pool2d(maps, tuple(min(size, self.extent) for size in maps.shape[2:]))
        return maps

    def _sketch(self, error: torch.Tensor) -> torch.Tensor:
        """(samples, values) → (samples, at most ``rank``)."""
        values = error.shape[1]
        if values <= self.rank:
            return error
        generator = torch.Generator().manual_seed(self.seed)
        buckets = torch.randint(self.rank, (values,), generator=generator).to(error.device)
        signs = torch.randint(2, (values,), generator=generator).to(error) * 2 - 1
        return error.new_zeros(len(error), self.rank).index_add_(1, buckets, error * signs)

