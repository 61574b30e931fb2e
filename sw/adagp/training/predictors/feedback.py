"""Learned feedback: the gradients of a layer's output as a linear map of the error of the model's output.

With e the error (samples, values) and δ the gradient of a layer's output per sample, Phase BP keeps
decayed sums S_ee = Σ eᵀe and S_eδ = Σ eᵀδ. The least-squares map A = (S_ee + ridge)⁻¹·S_eδ predicts
δ' = e·A. As that is linear in e, the weight gradient of a batch needs only one pseudo-image per value
of e, x̃_c = Σ_n e_nc·x_n: it is the layer's ordinary weight gradient between x̃ and A.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch.nn import functional

from ..layers import Layer, combined
from .predictor import Prediction, Predictor


@dataclass(eq=False)
class _Learned:
    """Of a layer."""

    sums: torch.Tensor | None = None
    rectified: bool = True


class _Observed(NamedTuple):
    """A layer's forward pass, until its gradient is known or predicted."""

    shape: torch.Size
    inputs: torch.Tensor | None
    mask: torch.Tensor | None


@dataclass(eq=False)
class _Gathered:
    """Of a layer's true gradients in the batch so far: ``product`` is Σ eᵀδ, ``leaks`` not zero if there was
    a gradient where a ReLU would be closed."""

    product: torch.Tensor | None = None
    predicted: torch.Tensor | None = None
    leaks: torch.Tensor | None = None


class LearnedFeedback(Predictor):
    """Predicts weights and biases of all layers when the loss is known.

    ``decay`` of the sums per batch of Phase BP; ``ridge`` relative to the largest that the mean of S_ee's
    diagonal lately was. So predictions fade out as the error becomes small, when the sums come
    from few samples. Errors of more than ``rank`` values per sample are reduced to so many by a fixed
    random projection (a count sketch from ``seed``). Maps of more than ``extent`` × ``extent`` pixels are
    kept pooled to that size; those of linear layers on sequences are means over the sequence.

    The first dimension of the model's outputs and of all layers' outputs are the samples. A layer whose
    output has no gradient when its forward pass ends (in a reentrant checkpoint) is not predicted.

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
        self._learned = {layer: _Learned() for layer in layers}
        self._error_sums: torch.Tensor | None = None
        self._peak: torch.Tensor | None = None
        self._factor: torch.Tensor | None = None
        self._batch = 0
        self.forget()

    def observe(self, layer, inputs, output, *, learning):
        learned = self._learned[layer]
        masked = self.masks and learned.rectified and not (layer.linear and output.dim() > 2)
        needed = not learning or self._measures
        self._observed[layer] = _Observed(output.shape, inputs.detach() if needed else None, output > 0 if masked else None)
        self._error = None
        if learning and output.requires_grad:
            output.register_hook(partial(self._absorb, layer))

    def receive(self, error, *, learning, scale):
        self._error, self._scale = self._sketch(error.float()) / scale, scale
        if self._factor is None and (self._measures or not learning):
            self._factor = self._factorised()
        if learning:
            squared = self._error.T @ self._error
            self._squared = squared if self._squared is None else self._squared + squared

    def learn(self, gradients):
        if self._squared is None:  # the output of no layer had a gradient
            return {}
        predictions = {}
        for layer, learned in self._learned.items():
            gathered = self._gathered.get(layer)
            if gathered and gathered.predicted is not None and layer in gradients:
                predicted = self.replicas.mean(gathered.predicted)
                predictions[layer] = Prediction(layer.rows(predicted), layer.rows(gradients[layer]))
            learned.sums = self._decayed(learned.sums, gathered and self.replicas.mean(gathered.product))
            if gathered and gathered.leaks is not None:
                learned.rectified = not self.replicas.mean(gathered.leaks)
        self._error_sums = self._decayed(self._error_sums, self.replicas.mean(self._squared))
        size = self._error_sums.diagonal().mean()
        self._peak = size if self._peak is None else torch.maximum(size, self.PEAK_DECAY * self._peak)
        self._factor = None
        self._batch += 1
        return predictions

    def predict(self, layer):
        observed = self._observed.pop(layer)
        if self._learned[layer].sums is None:
            return ()
        return tuple(self.replicas.mean(gradient).to(parameter.dtype)
                     for parameter, gradient in zip(layer.parameters, self._gradients(layer, observed)))

    def forget(self):
        self._observed: dict[Layer, _Observed] = {}
        self._gathered: dict[Layer, _Gathered] = {}
        self._error: torch.Tensor | None = None
        self._squared: torch.Tensor | None = None

    def state_dict(self):
        return {"error_sums": self._error_sums, "peak": self._peak, "batch": self._batch,
                "layers": {layer.name: vars(learned).copy() for layer, learned in self._learned.items()}}

    def load_state_dict(self, state):
        def own(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor.to(next(iter(self._learned)).weight.device, copy=True)

        self._error_sums, self._peak = own(state["error_sums"]), own(state["peak"])
        self._batch, self._factor = state["batch"], None
        self._learned = {layer: _Learned(sums=own(kept["sums"]), rectified=kept["rectified"])
                         for layer, kept in ((layer, state["layers"][layer.name]) for layer in self._learned)}

    @property
    def _measures(self) -> bool:
        """Whether the quality is measured, if this is a batch of Phase BP."""
        return self._error_sums is not None and self._batch % self.measure_every == 0

    @torch.no_grad()
    def _absorb(self, layer: Layer, gradient: torch.Tensor) -> None:
        """Gathers what a layer's true output gradient adds to its sums, and predicts from what they are."""
        if self._error is None:  # not the backward pass of the loss
            return
        observed = self._observed.pop(layer, None)
        if observed is None:
            raise RuntimeError("loss must be that of one forward pass of the model")
        if len(gradient) != len(self._error):
            raise ValueError(f"the output of layer {layer.name!r} must have as many samples as the model's, "
                             f"{len(self._error)}, not {len(gradient)}")
        learned, gathered = self._learned[layer], self._gathered.setdefault(layer, _Gathered())
        with torch.autocast(gradient.device.type, enabled=False):
            if self._measures and learned.sums is not None:
                gathered.predicted = _added(gathered.predicted, self._gradients(layer, observed)[0])
            if observed.mask is not None:
                gathered.leaks = _added(gathered.leaks, gradient.masked_select(~observed.mask).any().float())
            if layer.linear and gradient.dim() > 2:
                gradient = gradient.flatten(1, -2).mean(1)
            product = self._pooled(combined(self._error, gradient)) / self._scale
        known = product if learned.sums is None else learned.sums
        if product.shape != known.shape:
            raise ValueError(f"the output of layer {layer.name!r} must keep its shape, {tuple(known.shape[1:])}, "
                             f"not {tuple(product.shape[1:])}")
        gathered.product = _added(gathered.product, product)

    def _decayed(self, sums: torch.Tensor | None, more: torch.Tensor | None) -> torch.Tensor | None:
        if sums is None or more is None:
            return more if sums is None else sums.mul_(self.decay)
        return sums.mul_(self.decay).add_(more)

    def _factorised(self) -> torch.Tensor | None:
        """The Cholesky factor of S_ee with its ridge."""
        sums = self._error_sums
        if sums is None:
            return None
        ridge = (self.ridge * self._peak).clamp_min(1e-30)  # there may be no error left
        factor, failed = torch.linalg.cholesky_ex(sums + ridge * torch.eye(len(sums), device=sums.device))
        if failed:
            raise ArithmeticError("the gradient of the loss must be finite for learned feedback; training has diverged")
        return factor

    def _gradients(self, layer: Layer, observed: _Observed) -> tuple[torch.Tensor, torch.Tensor]:
        """Predicted gradients of weight and bias, from the sums as they are."""
        learned, (shape, inputs, mask) = self._learned[layer], observed
        maps = torch.cholesky_solve(learned.sums.flatten(1), self._factor).view_as(learned.sums)
        if layer.linear and inputs.dim() > 2:
            positions = shape[1:-1].numel()
            return (layer.weight_gradient(combined(self._error, inputs.flatten(1, -2).sum(1)), maps),
                    self._error.sum(0) @ maps * positions)
        if not layer.linear and maps.shape[2:] != shape[2:]:
            maps = functional.interpolate(maps, shape[2:], mode="nearest-exact")
        if mask is not None:
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


def _added(total: torch.Tensor | None, more: torch.Tensor) -> torch.Tensor:
    return more if total is None else total + more
