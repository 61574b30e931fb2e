"""Training with predicted gradients: the phases of ADA-GP around any model and optimizer."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from adagp.spec.schedule import Phase, PhaseCounter, Schedule, float32_bits

from .layers import Layer, served_layers
from .output_error import OutputError
from .partial_step import partial_step
from .predictors import Predictor
from .quality import Measurements, Quality
from .replicas import Replicas


class AdaGP:
    """Trains ``model`` with predicted gradients, in an ordinary loop::

        adagp = AdaGP(model, optimizer, predictor=LearnedFeedback(), schedule=Schedule(warmup=100, gp=2, bp=1))
        for inputs, labels in loader:
            loss = criterion(model(inputs), labels)
            adagp.backward(loss)  # instead of loss.backward()
            adagp.step()          # instead of optimizer.step() and optimizer.zero_grad()

    In warm-up and Phase BP that is back-propagation, and the predictor learns from the true gradients.
    In Phase GP the forward pass of ``model`` runs without autograd and no graph is built; each layer is
    updated as soon as its output is there, or all in ``step`` if the predictor needs the loss. What the
    predictor does not serve (normalisation, embeddings, computed weights, with some predictors
    biases) is updated in Phase BP only, and so is a layer that had no true gradient yet. In evaluation
    mode, and where gradients are disabled, the hooks do nothing.

    ``exclude`` names layers, or modules with all layers in them, that are not predicted. A layer whose
    cosine of predicted and true gradient, decayed by 0.9 per measured batch, is below ``gate`` is not
    updated in Phase GP until it is above again. ``rate`` multiplies the learning rate in Phase GP. There, the
    gradient predicted for a weight is at most ``clip`` times as large (in its norm) as the true ones
    were lately, decayed by 0.9 per batch: where a batch is unlike those that were learned from, a
    prediction can be far too large. None does not limit it. With ``accumulate`` = n, n forward and
    backward passes precede each step. With a ``scaler`` (``torch.amp.GradScaler``) ``backward`` scales
    the loss and ``step`` unscales, steps and updates; from a step that it skips nothing is learned.

    ``optimizer`` may be any that treats parameters one by one (LBFGS does not) and keeps no other state;
    in Phase GP it steps for some of them at a time, with its hooks. A ``DistributedDataParallel`` model
    stays the same in all processes, which choose the same phases.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, *, predictor: Predictor, schedule: Schedule,
                 exclude: tuple[str, ...] = (), gate: float | None = None, rate: float = 1.0, clip: float | None = 1.0,
                 accumulate: int = 1, scaler: torch.amp.GradScaler | None = None):
        if isinstance(optimizer, torch.optim.LBFGS):
            raise ValueError("AdaGP.optimizer must treat parameters one by one, not LBFGS")
        if gate is not None and not -1 <= gate <= 1:
            raise ValueError(f"AdaGP.gate must be a cosine, from -1 to 1, not {gate!r}")
        if not rate > 0:
            raise ValueError(f"AdaGP.rate must be positive, not {rate!r}")
        if clip is not None and not clip > 0:
            raise ValueError(f"AdaGP.clip must be positive or None, not {clip!r}")
        if not isinstance(accumulate, int) or accumulate < 1:
            raise ValueError(f"AdaGP.accumulate must be an integer of at least 1, not {accumulate!r}")
        self.model, self.optimizer, self.predictor, self.schedule = model, optimizer, predictor, schedule
        self.gate, self.rate, self.clip, self.accumulate, self.scaler = gate, rate, clip, accumulate, scaler
        self.layers = tuple(served_layers(model, exclude))
        self.batches: Counter[Phase] = Counter()
        self.notices: list[str] = []
        self._registers = schedule.registers() | {"QUALITY[0]": 0}
        self._counter = PhaseCounter(self._registers.__getitem__)
        self._measurements = Measurements()
        self._norms: dict[str, torch.Tensor] = {}
        self._predicting: bool | None = None
        self._error = OutputError()
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        for layer in self.layers:
            if not any(parameter is layer.weight for parameter in held):
                raise ValueError(f"optimizer must hold the weight of layer {layer.name!r}, or exclude name it")
        predictor.replicas = Replicas(model)
        predictor.prepare(list(self.layers), held)
        self._active = self._in_backward = False
        self._begin()
        self._hooks = [model.register_forward_pre_hook(self._own(model, self._enter)),
                       model.register_forward_hook(self._own(model, self._leave), always_call=True)]
        self._hooks += [layer.module.register_forward_hook(self._own(layer.module, partial(self._watch, layer)), with_kwargs=True)
                        for layer in self.layers]

    @property
    def cosine(self) -> float | None:
        """Of predicted with true weight gradients, the mean over the layers, in the batch measured last."""
        return self._measurements.cosine

    @property
    def needs_loss(self) -> bool:
        """False in a Phase GP whose predictor does not look at the loss: no label need be read."""
        return self.phase is not Phase.GP or self.predictor.needs_error

    @property
    def runs(self) -> bool:
        """False in a Phase GP that needs no forward pass either, but only :meth:`step`."""
        return self.phase is not Phase.GP or self.predictor.needs_batch

    def backward(self, loss: torch.Tensor | None = None) -> None:
        """``loss`` may be None if not :attr:`needs_loss`. It is that of the latest forward pass alone; with
        ``accumulate`` the caller divides it, as usual. A forward pass without is as if it had not been."""
        if not self.needs_loss:
            return
        if loss is None:
            raise ValueError("AdaGP.backward must get the loss in this phase, not None")
        if not self._ran:
            raise RuntimeError("AdaGP.backward must follow a forward pass of the model in training mode")
        learning = self.phase is not Phase.GP
        self._ran, self._in_backward = False, learning
        try:
            if learning:
                (self.scaler.scale(loss) if self.scaler else loss).backward()
            else:
                self._receive(self._error.of(loss))
                for layer in self._seen:
                    if layer in self._observed:
                        self._take(layer)
        finally:
            self._in_backward = False
            self._error.clear()
        self._passes += 1

    def step(self) -> None:
        """Ends the batch: the optimizer's step in Phase BP, what remains to be updated in Phase GP. Then
        :attr:`phase` is that of the next batch."""
        if self.runs and self._passes < self.accumulate or self._passes > self.accumulate:
            needed = "calls of backward" if self.needs_loss else "forward passes of the model in training mode"
            raise RuntimeError(f"AdaGP.step must follow {self.accumulate} {needed}, not {self._passes}")
        if self.phase is Phase.GP:
            self._finish_prediction()
        else:
            self._finish_truth()
        self.optimizer.zero_grad()
        self.batches[self.phase] += 1
        self._counter.complete(self.phase)
        if self.phase is Phase.BP and self._counter.begins:
            self._notice_change()
            self._measurements.begin_phase()
        self._begin()

    def quality(self) -> dict[str, Quality]:
        """Of each layer's predictions, from the batches of warm-up and Phase BP since the last call."""
        return self._measurements.take_report()

    def close(self) -> None:
        """Removes all hooks; the model is as it was before."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict:
        """Of everything but model, optimizer and scaler; between two batches."""
        return {"predictor": self.predictor.state_dict(), "counter": self._counter.state_dict(),
                "batches": {phase.name: count for phase, count in self.batches.items()},
                "measurements": self._measurements.state_dict(), "phase_quality": self._registers["QUALITY[0]"],
                "norms": dict(self._norms), "predicting": self._predicting, "outputs": list(self._error.differentiable)}

    def load_state_dict(self, state: dict) -> None:
        self.predictor.load_state_dict(state["predictor"])
        self._counter.load_state_dict(state["counter"])
        self.batches = Counter({Phase[name]: count for name, count in state["batches"].items()})
        self._measurements.load_state_dict(state["measurements"])
        self._registers["QUALITY[0]"] = state["phase_quality"]
        self._norms = {layer.name: state["norms"][layer.name].to(layer.weight.device, copy=True)
                       for layer in self.layers if layer.name in state["norms"]}
        self._predicting, self._error.differentiable = state["predicting"], list(state["outputs"])
        self._begin()

    # one batch

    def _begin(self) -> None:
        self.phase = self._counter.choose(self.batches.total())
        self._passes = 0
        self._ran = False
        self._seen: dict[Layer, None] = {}
        self._forget()

    def _forget(self) -> None:
        """The batch so far; what predicted gradients there are stay."""
        self._observed: dict[Layer, None] = {}
        self._error.clear()
        self.predictor.forget()

    @staticmethod
    def _own(module: nn.Module, hook: Callable) -> Callable:
        """``hook`` for ``module`` alone: a deep copy of the model (an average of weights, say) has the hooks too."""
        def call(caller, *arguments):
            return hook(*arguments) if caller is module else None
        return call

    @contextmanager
    def _predictors_mode(self) -> Iterator[None]:
        """They compute without autograd, and in float32."""
        with torch.no_grad(), torch.autocast(self.layers[0].weight.device.type, enabled=False):
            yield

    def _enter(self, arguments: tuple) -> None:
        if self._active and self.model.training:  # the user interrupted the last forward pass
            torch.set_grad_enabled(True)
        self._active = self.model.training and torch.is_grad_enabled() and not self._in_backward
        if not self._active:
            return
        if not self._passes:
            self._forget()  # a forward pass that came to nothing
        self._error.clear()
        self._ran = False
        self._seen.clear()
        torch.set_grad_enabled(self.phase is not Phase.GP)

    def _leave(self, arguments: tuple, output: Any) -> Any:
        """Also after an exception in the forward pass; there is no ``output`` then."""
        if not self._active:
            return None
        self._active = False
        torch.set_grad_enabled(True)
        if output is None:
            return None
        self._ran = True
        if not self.needs_loss:
            self._passes = min(self._passes + 1, self.accumulate)
        if not self.predictor.needs_error:
            return None
        return self._error.cut(output) if self.phase is Phase.GP else self._error.follow(output, self._receive)

    def _watch(self, layer: Layer, arguments: tuple, keywords: dict, output: torch.Tensor) -> None:
        if not self._active or not layer.weight.requires_grad:
            return
        if layer in self._seen:
            raise ValueError(f"layer {layer.name!r} must run once in a forward pass of the model, not twice; "
                             f"exclude={layer.name!r} leaves it to Phase BP")
        if output.dim() < (2 if layer.linear else layer.weight.dim()):
            raise ValueError(f"layer {layer.name!r} must get a batch, not one sample: its output is {tuple(output.shape)}")
        self._seen[layer] = None
        learning = self.phase is not Phase.GP
        if not learning and not self._open(layer) or not self.needs_loss and self._passes == self.accumulate:
            return
        self._observed[layer] = None
        with self._predictors_mode():
            self.predictor.observe(layer, arguments[0] if arguments else keywords["input"], output, learning=learning)
        if not self.needs_loss and self._passes + 1 == self.accumulate:
            self._take(layer)
            self._update([layer])

    def _receive(self, error: torch.Tensor) -> None:
        learning = self.phase is not Phase.GP
        if learning is self._in_backward:  # and not a backward pass that the user makes for himself
            with self._predictors_mode():
                self.predictor.receive(error, learning=learning,
                                       scale=self.scaler.get_scale() if self.scaler and learning else 1.0)

    # Phase GP

    def _open(self, layer: Layer) -> bool:
        """Whether there has been a true gradient, and the gate lets the layer's predictions through."""
        return layer.name in self._norms and (
            self.gate is None or self._measurements.recent.get(layer.name, -1.0) >= self.gate)

    def _take(self, layer: Layer) -> None:
        """Adds the predicted gradients to the parameters' own."""
        with self._predictors_mode():
            for parameter, gradient in zip(layer.parameters, self.predictor.predict(layer)):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _finish_prediction(self) -> None:
        gradients = self.predictor.predict_parameters()
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        partial_step(self.optimizer, gradients, rate=self.rate)
        if not self.predictor.needs_error:
            for layer in self._observed:  # it did not run in the last pass
                self._take(layer)
        self._update(list(self._observed))

    def _update(self, layers: list[Layer]) -> None:
        """The optimizer's step for some of the layers that were observed."""
        for layer in layers:
            self._limit(layer)
            del self._observed[layer]
        partial_step(self.optimizer, [parameter for layer in layers for parameter in layer.parameters], rate=self.rate)

    def _limit(self, layer: Layer) -> None:
        """Scales a prediction down that is larger than true gradients are."""
        if self.clip is not None and layer.weight.grad is not None:
            factor = self.clip * self._norms[layer.name] / layer.weight.grad.norm().clamp_min(torch.finfo(torch.float32).tiny)
            if factor.device.type == "cpu" and factor >= 1:  # elsewhere, to look at it would be to wait for it
                return
            for parameter in layer.parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(factor.clamp_max(1.0))

    # Phase BP

    def _finish_truth(self) -> None:
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
            gradients = [parameter.grad for group in self.optimizer.param_groups for parameter in group["params"]
                         if parameter.grad is not None]
        if not self.scaler or nn.utils.get_total_norm(gradients).isfinite():
            self._learn()
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()

    def _learn(self) -> None:
        gradients = {layer: layer.weight.grad for layer in self.layers
                     if layer in self._observed and layer.weight.grad is not None}
        with self._predictors_mode():
            for layer, gradient in gradients.items():
                norm = gradient.norm()
                self._norms[layer.name] = norm.lerp(self._norms.get(layer.name, norm), 0.9)
            predictions = self.predictor.learn(gradients)
            self._measurements.add({layer.name: Quality.of(*prediction) for layer, prediction in predictions.items()},
                                   warmup=self.phase is Phase.WARMUP)
        if self._measurements.of_phase is not None:
            self._registers["QUALITY[0]"] = float32_bits(self._measurements.of_phase)

    def _notice_change(self) -> None:
        """Says so when the adaptive schedule has begun or stopped to predict, at the end of a cycle."""
        rule, predicting, cosine = self.schedule.adaptive, self._counter.gp > 0, self._measurements.of_phase
        if rule is None or predicting is self._predicting or cosine is None:
            return
        bound = rule.lower_at if self._predicting else rule.raise_at
        if predicting:
            self.notices.append(f"predicting: the cosine of predicted and true gradients, {cosine:.3f}, reaches {rule.raise_at}")
        elif cosine < bound:
            self.notices.append(f"not predicting: the cosine of predicted and true gradients, {cosine:.3f}, is below {bound}")
        else:  # above the bound, but not yet for long enough
            return
        self._predicting = predicting
