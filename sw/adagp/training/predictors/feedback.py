"""Learned feedback: the gradients of a layer's output as a linear map of the error of the model's output.

With e the error (samples, values) and δ the gradient of a layer's output per sample, Phase BP keeps
decayed sums S_ee = Σ eᵀe and S_eδ = Σ eᵀδ. The least-squares map A = (S_ee + ridge)⁻¹·S_eδ predicts
δ' = e·A. As that is linear in e, the weight gradient of a batch needs only one pseudo-image per value
of e, x̃_c = Σ_n e_nc·x_n: it is the layer's ordinary weight gradient between x̃ and A.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from ..layers import Layer, combined
from .predictor import Prediction, Predictor


@dataclass(eq=False)
class _State:
    """Of a layer: what is learned, then what belongs to the batch."""

    sums: torch.Tensor | None = None
    rectified: bool = True

    absorbed: bool = False
    inputs: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    shape: torch.Size | None = None
    predicted: torch.Tensor | None = None


class LearnedFeedback(Predictor):
    """Predicts weights and biases of all layers when the loss is known.

    ``decay`` of the sums per batch of Phase BP; ``ridge`` relative to the largest that the mean of S_ee's
    diagonal lately was. So predictions fade out as the error becomes small, when the sums come
    from few samples. Errors of more than ``rank`` values per sample are reduced to so many by a fixed random projection
    (a count sketch from ``seed``). Maps of more than ``extent`` × ``extent`` pixels are kept pooled to that
    size; those of linear layers on sequences are means over the sequence.

    With ``masks`` the predicted δ' of a layer that a ReLU follows is set to zero where the sample's ReLU is
    closed. It comes nearer to the truth, but needs a δ' per sample in the place of pseudo-images:
    Phase GP then costs two forward passes rather than 1 + values ÷ samples. Which layers these are
    shows in Phase BP.

    The quality is measured in every ``measure_every``-th batch of Phase BP, which costs what predicting does.
    """

    needs_error = True
    PEAK_DECAY = 0.999

    def __init__(self, *, decay: float = 0.97, ridge: float = 0.1, rank: int = 64, extent: int = 16, masks: bool = False,
                 measure_every: int = 1, seed: int = 0):
        counts = {"rank": rank, "extent": extent, "measure_every": measure_every}
        for name, value, rule, valid in (
                ("decay", decay, "in (0, 1)", 0 < decay < 1), ("ridge", ridge, "positive", ridge > 0),
                *((name, value, "an integer of at least 1", isinstance(value, int) and value >= 1) for name, value in counts.items())):
            if not valid:
                raise ValueError(f"LearnedFeedback.{name} must be {rule}, not {value!r}")
        self.decay, self.ridge, self.rank, self.extent, self.seed = decay, ridge, rank, extent, seed
        self.masks, self.measure_every = bool(masks), measure_every

    def prepare(self, layers, parameters):
        self._layers = {layer: _State() for layer in layers}
        self._error_sums: torch.Tensor | None = None
        self._peak: torch.Tensor | None = None
        self._factor: torch.Tensor | None = None
        self._begun = False
        self._batch = 0

    def observe(self, layer, inputs, output, *, learning):
        state = self._layers[layer]
        state.shape = output.shape
        if self.masks and state.rectified and output.dim() != 3:
            state.mask = output.detach() > 0
        if learning:
            inputs = inputs.detach()
            mask = state.mask
            output.register_hook(lambda gradient: self._absorb(layer, inputs, mask, gradient))
        else:
            state.inputs = inputs

    def receive(self, error, *, learning, scale):
        self._scale = scale
        self._error = self._sketch(error.flatten(1).float()) / scale
        if not learning:
            self._factor = self._factor if self._factor is not None else self._factorised()
            return
        squared = self._error.T @ self._error
        if not self._begun:  # of the batch's forward passes the first
            self._begun = True
            self._factor = self._factorised() if self._batch % self.measure_every == 0 else None
            self._error_sums = squared if self._error_sums is None else self._error_sums.mul_(self.decay).add_(squared)
        else:
            self._error_sums.add_(squared)

    def learn(self, gradients):
        predictions = {layer: Prediction(layer.rows(self._layers[layer].predicted), layer.rows(gradient))
                       for layer, gradient in gradients.items() if self._layers[layer].predicted is not None}
        for state in self._layers.values():
            state.absorbed, state.predicted, state.mask = False, None, None
        self._begun, self._factor = False, None
        self._batch += 1
        return predictions

    def predict(self, layer):
        state = self._layers[layer]
        inputs, mask = state.inputs, state.mask
        state.inputs = state.mask = None
        if state.sums is None:
            return ()
        weight, bias = self._gradients(layer, inputs, mask)
        return (weight.to(layer.weight.dtype),) if layer.bias is None else (weight.to(layer.weight.dtype), bias.to(layer.bias.dtype))

    def state_dict(self):
        return {"error_sums": self._error_sums, "peak": self._peak, "batch": self._batch, "layers": {
            layer.name: {"sums": state.sums, "rectified": state.rectified}
            for layer, state in self._layers.items()}}

    def load_state_dict(self, state):
        def own(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor.to(next(iter(self._layers)).weight.device, copy=True)

        self._error_sums, self._peak = own(state["error_sums"]), own(state["peak"])
        self._batch, self._factor = state["batch"], None
        self._layers = {layer: _State(sums=own(kept["sums"]), rectified=kept["rectified"])
                        for layer, kept in ((layer, state["layers"][layer.name]) for layer in self._layers)}

    @torch.no_grad()
    def _absorb(self, layer: Layer, inputs: torch.Tensor, mask: torch.Tensor | None, gradient: torch.Tensor) -> None:
        """Adds a layer's true output gradient to its sums, after predicting from what they were."""
        if len(gradient) != len(self._error):
            raise ValueError(f"the output of layer {layer.name!r} must have as many samples as the model's, "
                             f"{len(self._error)}, not {len(gradient)}")
        state = self._layers[layer]
        if self._factor is not None and state.sums is not None:
            weight, _ = self._gradients(layer, inputs, mask)
            state.predicted = weight if state.predicted is None else state.predicted + weight
        if mask is not None:
            state.rectified = state.rectified and not gradient.masked_select(~mask).any()
        if layer.linear and gradient.dim() > 2:
            gradient = gradient.flatten(1, -2).mean(1)
        product = self._pooled(combined(self._error, gradient)) / self._scale
        if state.sums is None:
            state.sums = product
        elif state.sums.shape != product.shape:
            raise ValueError(f"the output of layer {layer.name!r} must keep its shape, {tuple(state.sums.shape[1:])}, "
                             f"not {tuple(product.shape[1:])}")
        else:
            (state.sums if state.absorbed else state.sums.mul_(self.decay)).add_(product)
        state.absorbed = True

    def _factorised(self) -> torch.Tensor | None:
        """The Cholesky factor of S_ee with its ridge."""
        sums = self._error_sums
        if sums is None:
            return None
        size = sums.diagonal().mean()
        self._peak = size if self._peak is None else torch.maximum(size, self.PEAK_DECAY * self._peak)
        ridge = (self.ridge * self._peak).clamp_min(1e-30)  # there may be no error left
        factor, failed = torch.linalg.cholesky_ex(sums + ridge * torch.eye(len(sums), device=sums.device))
        if failed:
            raise ArithmeticError("the gradient of the loss must be finite for learned feedback; training has diverged")
        return factor

    def _gradients(self, layer: Layer, inputs: torch.Tensor, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Predicted gradients of weight and bias, from the sums as they are."""
        state = self._layers[layer]
        maps = torch.cholesky_solve(state.sums.flatten(1), self._factor).view_as(state.sums)
        if layer.linear and inputs.dim() > 2:
            positions = state.shape[1:-1].numel()
            return (layer.weight_gradient(combined(self._error, inputs.flatten(1, -2).sum(1)), maps),
                    self._error.sum(0) @ maps * positions)
        if not layer.linear and maps.shape[2:] != state.shape[2:]:
            maps = functional.interpolate(maps, state.shape[2:], mode="nearest-exact")
        if mask is not None and state.rectified:
            delta = combined(self._error.T, maps) * mask
            return layer.weight_gradient(inputs.float(), delta), delta.transpose(0, 1).flatten(1).sum(1)
        return (layer.weight_gradient(combined(self._error, inputs), maps),
                self._error.sum(0) @ (maps if layer.linear else maps.flatten(2).sum(2)))

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
