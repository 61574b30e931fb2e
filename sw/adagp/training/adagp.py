"""Training with predicted gradients: the phases of ADA-GP around any model and optimizer."""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from adagp.spec.schedule import Phase, PhaseCounter, Schedule

from .layers import Layer, served_layers
from .predictors import Prediction, Predictor
from .quality import Quality


class AdaGP:
    """Trains ``model`` with predicted gradients, in an ordinary loop::

        adagp = AdaGP(model, optimizer, predictor=LearnedFeedback(), schedule=Schedule(warmup=100, gp=2, bp=1))
        for inputs, labels in loader:
            loss = criterion(model(inputs), labels)
            adagp.backward(loss)  # instead of loss.backward()
            adagp.step()          # instead of optimizer.step() and optimizer.zero_grad()

    In warm-up and Phase BP that is back-propagation, and the predictor learns from the true gradients.
    In Phase GP the forward pass of ``model`` runs without autograd, each layer is updated as soon as
    its output is there (or all when the loss is known, if the predictor needs it), and no graph is
    built. What the predictor does not serve (normalisation, embeddings, with some predictors biases)
    is updated in Phase BP only. In evaluation mode, and where gradients are disabled, the hooks do
    nothing.

    ``exclude`` names layers that are not predicted. A layer whose cosine of predicted and true gradient, decayed
    by 0.9 per batch of Phase BP, is below ``gate`` is not updated in Phase GP until it is above again.
    ``rate`` multiplies the learning rate in Phase GP. There, the gradient predicted for a weight is at most
    ``clip`` times as large (in its norm) as the true ones were lately, decayed by 0.9 per batch: where a batch is
    unlike those that were learned from, a prediction can be far too large. None does not limit it. With ``accumulate`` = n, n forward and backward
    passes precede each step. With a ``scaler`` (``torch.amp.GradScaler``) ``backward`` scales the loss
    and ``step`` unscales, steps and updates.

    ``optimizer`` may be any that treats parameters one by one (LBFGS does not).
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
        self._quality: dict[str, Quality] = {}
        self._cosines: dict[str, float] = {}
        self._norms: dict[str, torch.Tensor] = {}
        self._phase_cosines: list[float] = []
        self.cosine: float | None = None
        self._predicting: bool | None = None
        self._places = {id(parameter): index for index, group in enumerate(optimizer.param_groups)
                        for parameter in group["params"]}
        for layer in self.layers:
            if id(layer.weight) not in self._places:
                raise ValueError(f"optimizer must hold the weight of layer {layer.name!r}, or exclude name it")
        predictor.prepare(list(self.layers), [parameter for group in optimizer.param_groups
                                              for parameter in group["params"]])
        self._begin()
        self._hooks = [model.register_forward_pre_hook(self._own(model, self._enter)),
                       model.register_forward_hook(self._own(model, self._leave), always_call=True)]
        self._hooks += [layer.module.register_forward_hook(self._own(layer.module, partial(self._watch, layer)))
                        for layer in self.layers]

    @property
    def needs_loss(self) -> bool:
        """False in a Phase GP whose predictor does not look at the loss: no label need be read."""
        return self.phase is not Phase.GP or self.predictor.needs_error

    @property
    def runs(self) -> bool:
        """False in a Phase GP that needs no forward pass either, but only :meth:`step`."""
        return self.phase is not Phase.GP or self.predictor.needs_batch

    def backward(self, loss: torch.Tensor | None = None) -> None:
        """``loss`` may be None if not :attr:`needs_loss`. It is that of one forward pass; with
        ``accumulate`` the caller divides it, as usual."""
        if not self.needs_loss:
            return
        if loss is None:
            raise ValueError("AdaGP.backward must get the loss in this phase, not None")
        if not self._outputs:
            raise RuntimeError("AdaGP.backward must follow a forward pass of the model in training mode")
        self._passes += 1
        if self.phase is not Phase.GP:
            (self.scaler.scale(loss) if self.scaler else loss).backward()
        else:
            errors = torch.autograd.grad(loss, self._outputs, allow_unused=True, materialize_grads=True)
            self._receive(errors)
            with torch.no_grad():
                for layer in self._predictable():
                    self._take(layer, self._passes == self.accumulate)
        self._outputs = []

    def step(self) -> None:
        """Ends the batch: the optimizer's step in Phase BP, what remains to be updated in Phase GP. Then
        :attr:`phase` is that of the next batch."""
        expected = self.accumulate if self.runs else 0
        if self.needs_loss and self._passes != expected:
            raise RuntimeError(f"AdaGP.step must follow {expected} calls of backward, not {self._passes}")
        if self.phase is Phase.GP:
            self._finish_prediction()
        else:
            self._finish_truth()
        self.optimizer.zero_grad()
        self.batches[self.phase] += 1
        self._counter.complete(self.phase)
        if self.phase is Phase.BP and self._counter.begins:
            self._notice_change()
            self._phase_cosines.clear()
        self._begin()

    def quality(self) -> dict[str, Quality]:
        """Of each layer's predictions, from the batches of warm-up and Phase BP since the last call."""
        quality, self._quality = self._quality, {}
        return quality

    def close(self) -> None:
        """Removes all hooks; the model is as it was before."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict:
        """Of everything but model, optimizer and scaler; between two batches."""
        return {"predictor": self.predictor.state_dict(), "counter": self._counter.state_dict(),
                "batches": {phase.name: count for phase, count in self.batches.items()},
                "quality": {name: vars(quality).copy() for name, quality in self._quality.items()},
                "cosines": dict(self._cosines), "norms": dict(self._norms),
                "phase_cosines": list(self._phase_cosines), "cosine": self.cosine,
                "predicting": self._predicting}

    def load_state_dict(self, state: dict) -> None:
        self.predictor.load_state_dict(state["predictor"])
        self._counter.load_state_dict(state["counter"])
        self.batches = Counter({Phase[name]: count for name, count in state["batches"].items()})
        self._quality = {name: Quality(**values) for name, values in state["quality"].items()}
        self._cosines, self._phase_cosines = dict(state["cosines"]), list(state["phase_cosines"])
        self._norms = {layer.name: state["norms"][layer.name].to(layer.weight.device, copy=True)
                       for layer in self.layers if layer.name in state["norms"]}
        self.cosine, self._predicting = state["cosine"], state["predicting"]
        self._begin()

    # one batch

    def _begin(self) -> None:
        self.phase = self._counter.choose(self.batches.total())
        self._passes = self._forwards = 0
        self._active = False
        self._outputs: list[torch.Tensor] = []
        self._seen: set[Layer] = set()

    @staticmethod
    def _own(module: nn.Module, hook: Callable) -> Callable:
        """``hook`` for ``module`` alone: a deep copy of the model (an average of weights, say) has the hooks too."""
        def call(caller, *arguments):
            return hook(*arguments) if caller is module else None
        return call

    def _enter(self, arguments) -> None:
        self._active = self.model.training and torch.is_grad_enabled()
        if not self._active:
            return
        self._forwards += 1
        self._seen.clear()
        torch.set_grad_enabled(self.phase is not Phase.GP)

    def _leave(self, arguments, output):
        if not self._active:
            return None
        self._active = False
        learning = self.phase is not Phase.GP
        torch.set_grad_enabled(True)
        if self.predictor.needs_error:  # in Phase BP a view, as its gradient is known before that of a layer's own output
            output = tree_map_only(torch.Tensor, (lambda leaf: leaf.view_as(leaf)) if learning else
                                   (lambda leaf: leaf.detach().requires_grad_(leaf.is_floating_point())), output)
        self._outputs = [leaf for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
        if learning and self.predictor.needs_error:
            self._capture_errors()
        return output

    def _watch(self, layer: Layer, arguments, output: torch.Tensor) -> None:
        if not self._active:
            return
        if layer in self._seen:
            raise ValueError(f"layer {layer.name!r} must run once in a forward pass of the model, not twice; "
                             f"exclude={layer.name!r} leaves it to Phase BP")
        self._seen.add(layer)
        learning = self.phase is not Phase.GP
        if learning or self._open(layer):
            with torch.autocast(layer.weight.device.type, enabled=False):  # predictors compute in float32
                self.predictor.observe(layer, arguments[0], output, learning=learning)
                if not learning and not self.predictor.needs_error and self._forwards == self.accumulate:
                    self._take(layer, True)

    def _capture_errors(self) -> None:
        """Hands the gradient of the model's output to the predictor before that of any layer is known."""
        errors: list[torch.Tensor | None] = [None] * len(self._outputs)
        waiting = set(range(len(errors)))

        def capture(index: int, gradient: torch.Tensor) -> None:
            errors[index] = gradient
            waiting.discard(index)
            if not waiting:
                self._receive(errors)

        for index, output in enumerate(self._outputs):
            output.register_hook(lambda gradient, index=index: capture(index, gradient))

    def _receive(self, errors) -> None:
        learning = self.phase is not Phase.GP
        with torch.no_grad():
            self.predictor.receive(torch.cat([error.flatten(1) for error in errors], 1), learning=learning,
                                   scale=self.scaler.get_scale() if self.scaler and learning else 1.0)

    # Phase GP

    def _open(self, layer: Layer) -> bool:
        """Whether the gate lets the layer's predictions through."""
        return self.gate is None or self._cosines.get(layer.name, -1.0) >= self.gate

    def _predictable(self) -> Iterator[Layer]:
        return (layer for layer in self.layers if layer in self._seen and self._open(layer))

    def _take(self, layer: Layer, update: bool) -> None:
        """Adds the predicted gradients to the parameters' own, and updates them if there are no more to come."""
        for parameter, gradient in zip(layer.parameters, self.predictor.predict(layer)):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        if update:
            self._limit(layer)
            self._update(layer.parameters)

    def _limit(self, layer: Layer) -> None:
        """Scales a prediction down that is larger than true gradients are."""
        if self.clip is not None and layer.weight.grad is not None and layer.name in self._norms:
            factor = self.clip * self._norms[layer.name] / layer.weight.grad.norm().clamp_min(torch.finfo(torch.float32).tiny)
            for parameter in layer.parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(factor.clamp_max(1.0))

    def _finish_prediction(self) -> None:
        gradients = self.predictor.predict_parameters()
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        self._update(gradients)

    def _update(self, parameters) -> None:
        """The optimizer's step for some parameters alone, with the learning rate of Phase GP."""
        by_group: dict[int, list[nn.Parameter]] = {}
        for parameter in parameters:
            if parameter.grad is not None and id(parameter) in self._places:
                by_group.setdefault(self._places[id(parameter)], []).append(parameter)
        if not by_group:
            return
        with self._groups([{**self.optimizer.param_groups[index], "params": some,
                            "lr": self.optimizer.param_groups[index]["lr"] * self.rate} for index, some in by_group.items()]):
            self.optimizer.step()
        for some in by_group.values():
            for parameter in some:
                parameter.grad = None

    @contextmanager
    def _groups(self, groups: list[dict]) -> Iterator[None]:
        whole, self.optimizer.param_groups = self.optimizer.param_groups, groups
        try:
            yield
        finally:
            self.optimizer.param_groups = whole

    # Phase BP

    def _finish_truth(self) -> None:
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        gradients = {layer: layer.weight.grad for layer in self.layers if layer.weight.grad is not None}
        if not self.scaler or all(gradient.isfinite().all() for gradient in gradients.values()):
            with torch.no_grad():
                self._measure_norms(gradients)
                self._judge(self.predictor.learn(gradients))
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()

    def _measure_norms(self, gradients: dict[Layer, torch.Tensor]) -> None:
        if self.clip is None or not self.predictor.needs_batch:
            return
        for layer, gradient in gradients.items():
            norm = gradient.norm()
            self._norms[layer.name] = norm.lerp(self._norms.get(layer.name, norm), 0.9)

    def _judge(self, predictions: dict[Layer, Prediction]) -> None:
        """Books how good the predictions are, for the report, the gates and the adaptive schedule."""
        cosines = []
        for layer, prediction in predictions.items():
            quality = Quality.of(*prediction)
            self._quality[layer.name] = self._quality[layer.name] + quality if layer.name in self._quality else quality
            before = self._cosines.get(layer.name)
            self._cosines[layer.name] = quality.cosine if before is None else 0.9 * before + 0.1 * quality.cosine
            cosines.append(quality.cosine)
        if not cosines:
            return
        self.cosine = sum(cosines) / len(cosines)
        if self.phase is Phase.BP:
            self._phase_cosines.append(self.cosine)
            self._registers["QUALITY[0]"] = _bits(sum(self._phase_cosines) / len(self._phase_cosines))


    def _notice_change(self) -> None:
        """Says so when the adaptive schedule has begun or stopped to predict, at the end of a cycle."""
        rule, predicting = self.schedule.adaptive, self._counter.gp > 0
        if rule is None or predicting is self._predicting or not self._phase_cosines:
            return
        cosine = sum(self._phase_cosines) / len(self._phase_cosines)
        bound = rule.lower_at if self._predicting else rule.raise_at
        if predicting:
            self.notices.append(f"predicting: the cosine of predicted and true gradients, {cosine:.3f}, reaches {rule.raise_at}")
        elif cosine < bound:
            self.notices.append(f"not predicting: the cosine of predicted and true gradients, {cosine:.3f}, is below {bound}")
        else:  # above the bound, but not yet for long enough
            return
        self._predicting = predicting


def _bits(value: float) -> int:
    """Those of a float32."""
    return struct.unpack("<I", struct.pack("<f", value))[0]
