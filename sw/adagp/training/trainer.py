"""A training loop for those who want none of their own."""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import nn

from adagp.spec.schedule import Phase

from .adagp import AdaGP
from .backpropagation import Backpropagation
from .checkpoint import CheckpointError, Checkpoints, first_line, require_shapes
from .rates import Rate
from .records import BatchRecord, EpochRecord, Hooks


class Task(Protocol):
    """How outputs are judged: ``loss(output, target)`` is a mean, ``score(output, target)`` a sum and a
    count, whose quotient over the test samples is called ``metric``."""

    metric: str
    loss: Callable[[Any, Any], torch.Tensor]
    score: Callable[[Any, Any], tuple[float, int]]


class Batches(Protocol):
    """Batches that are the same for the same epoch, whatever was drawn before."""

    def __len__(self) -> int: ...

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[Any, Any]]: ...


TITLES = {Phase.WARMUP: "warm-up", Phase.BP: "Phase BP", Phase.GP: "Phase GP"}
"""Of the phases that a batch can have, in their order."""


class NotFinite(ArithmeticError):
    """A loss or a weight became infinite or NaN; the message says in which epoch, batch and phase."""


@dataclass
class _Sums:
    """Of the batches of an epoch so far."""

    loss: float = 0.0
    losses: int = 0
    batches: Counter = None
    seconds: Counter = None

    def __post_init__(self):
        self.batches, self.seconds = Counter(self.batches), Counter(self.seconds)

    def add(self, phase: Phase, loss: float | None, seconds: float) -> None:
        if loss is not None:
            self.loss += loss
            self.losses += 1
        self.batches[phase.name.lower()] += 1
        self.seconds[phase.name.lower()] += seconds

    def as_state(self) -> dict:
        return {"loss": self.loss, "losses": self.losses, "batches": dict(self.batches), "seconds": dict(self.seconds)}


class _Stop(Exception):
    """The run was asked to stop, and does so where it can go on later."""


class Trainer:
    """Trains the model of ``adagp`` on the batches ``train``, and tests it on ``test`` after every epoch.

    With ``accumulate`` of ``adagp``, so many batches of ``train`` make one step, called a batch from here on;
    those that do not fill one at the end of an epoch are left out. ``autocast`` is the type of
    automatic mixed precision. ``rates`` are stepped after every epoch. Targets go to the device and
    the loss is computed only where ``adagp.needs_loss``; a batch that ``adagp`` does not run is drawn
    and put aside.

    With ``checkpoints`` one is written before the first batch, whenever one is due and after every
    epoch, of finite weights only. :meth:`load_state_dict` with its state continues the run bit for bit.
    ``history`` are the records of the epochs so far.
    """

    def __init__(self, adagp: AdaGP | Backpropagation, task: Task, train: Batches, test: Batches, *,
                 rates: Iterable[Rate] = (), device: torch.device | str = "cpu", autocast: torch.dtype | None = None,
                 channels_last: bool = False, hooks: Iterable[Hooks] = (), checkpoints: Checkpoints | None = None):
        if len(train) < adagp.accumulate:
            raise ValueError(f"Trainer.train must hold at least accumulate={adagp.accumulate} batches, not {len(train)}")
        self.adagp, self.task, self.train, self.test, self.device = adagp, task, train, test, torch.device(device)
        self.model, self.optimizer = adagp.model, adagp.optimizer
        self.rates, self.hooks, self.checkpoints = tuple(rates), list(hooks), checkpoints
        self._autocast, self._channels_last = autocast, channels_last
        self.epoch = self.batch = 0
        self.history: list[EpochRecord] = []
        self._sums, self._stop = _Sums(), False

    @property
    def batches_per_epoch(self) -> int:
        return len(self.train) // self.adagp.accumulate

    @property
    def batches_done(self) -> int:
        """Of the whole run."""
        return self.epoch * self.batches_per_epoch + self.batch

    def stop(self) -> None:
        """Ends :meth:`fit` after the batch that runs, with a checkpoint. May be called by a signal handler."""
        self._stop = True

    def fit(self, epochs: int) -> tuple[EpochRecord, ...]:
        """Trains until ``epochs`` epochs are done, from where the run is; their records so far.

        NotFinite as soon as a loss or a weight is; the last checkpoint then stays."""
        if not self.batches_done:
            self._save()
        try:
            while self.epoch < epochs:
                self._train_rest_of_epoch()
                self._end_epoch()
        except _Stop:
            self._save()
        return tuple(self.history)

    def evaluate(self) -> tuple[float, float]:
        """Mean loss of a test sample, and the metric."""
        self.model.eval()
        loss = score = 0.0
        samples = count = 0
        with torch.no_grad():
            batches = self.test.epoch(0)
            while drawn := self._draw(batches, 1):
                inputs, target = self._moved(drawn[0])
                with self._precision():
                    output = self._forward(inputs)
                    size = len(inputs[0] if isinstance(inputs, tuple) else inputs)
                    loss += size * float(self.task.loss(output, target))
                part, parts = self.task.score(output, target)
                samples, score, count = samples + size, score + part, count + parts
        return loss / samples, score / count if count else math.nan

    def state_dict(self) -> dict:
        """All that decides how the run goes on: tensors, numbers, strings, lists, tuples and dicts."""
        scaler = self.adagp.scaler
        return {
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scaler": scaler and scaler.state_dict(), "adagp": self.adagp.state_dict(),
            "rates": [rate.scheduler.state_dict() for rate in self.rates], "random": self._random_state(),
            "epoch": self.epoch, "batch": self.batch, "sums": self._sums.as_state(),
            "history": [record.as_state() for record in self.history]}

    def load_state_dict(self, state: dict) -> None:
        """Goes back to the moment of :meth:`state_dict`; CheckpointError if it is another model's or run's."""
        try:
            require_shapes(state["model"], self.model.state_dict())
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.adagp.scaler is not None:
                self.adagp.scaler.load_state_dict(state["scaler"])
            self.adagp.load_state_dict(state["adagp"])
            for rate, stored in zip(self.rates, state["rates"], strict=True):
                rate.scheduler.load_state_dict(stored)
            self.epoch, self.batch, self._sums = state["epoch"], state["batch"], _Sums(**state["sums"])
            self.history = [EpochRecord.from_state(record) for record in state["history"]]
            self._load_random_state(state["random"])
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise CheckpointError(f"the checkpoint is of another run: {first_line(error)}") from error

    def _train_rest_of_epoch(self) -> None:
        self.model.train()
        accumulate = self.adagp.accumulate
        parts = self.train.epoch(self.epoch, self.batch * accumulate)
        while self.batch < self.batches_per_epoch:
            record = self._train_batch(self._draw(parts, accumulate))
            self.batch += 1
            self._tell(record)
            if self.checkpoints and self.checkpoints.due():
                self._save()

    def _draw(self, batches: Iterator[tuple[Any, Any]], count: int) -> list[tuple[Any, Any]]:
        """The next ``count`` batches or what is left of them, unless the run is to stop."""
        if self._stop:
            raise _Stop
        return list(islice(batches, count))

    def _train_batch(self, parts: list[tuple[Any, Any]]) -> BatchRecord:
        adagp, began = self.adagp, time.perf_counter()
        phase = adagp.phase
        losses = [self._run(inputs, target) for inputs, target in parts] if adagp.runs else []
        adagp.step()
        weights = [weight.detach() for weight in self.model.parameters()]
        self._require_finite("norm of the weights", float(nn.utils.get_total_norm(weights)), phase)
        if adagp.cosine is not None:  # not a number once the predictor's own weights are not
            self._require_finite("cosine of predicted and true gradients", adagp.cosine, phase)
        loss = math.fsum(losses) / len(losses) if losses and None not in losses else None
        self._sums.add(phase, loss, time.perf_counter() - began)
        return BatchRecord(step=self.batches_done, epoch=self.epoch, batch=self.batch, phase=phase, loss=loss,
                           cosine=adagp.cosine)

    def _run(self, inputs: Any, target: Any) -> float | None:
        """Forward and backward; the loss, if it is needed."""
        adagp, phase = self.adagp, self.adagp.phase
        with self._precision():
            output = self._forward(self._moved(inputs))
            loss = self.task.loss(output, self._moved(target)) if adagp.needs_loss else None
        value = None
        if loss is not None:
            value = float(loss.detach())
            self._require_finite("loss", value, phase)  # before a predictor learns from it
            loss = loss / adagp.accumulate
        adagp.backward(loss)
        return value

    def _require_finite(self, name: str, value: float, phase: Phase) -> None:
        if not math.isfinite(value):
            raise NotFinite(f"{name} is {value} in epoch {self.epoch + 1}, batch {self.batch + 1} of "
                            f"{self.batches_per_epoch}, {TITLES[phase]}")

    def _tell(self, record: BatchRecord) -> None:
        notices, self.adagp.notices[:] = list(self.adagp.notices), []
        for hook in self.hooks:
            hook.batch(record)
            for notice in notices:
                hook.notice(notice)

    def _end_epoch(self) -> None:
        began = time.perf_counter()
        test_loss, metric = self.evaluate()
        if not math.isfinite(test_loss):
            raise NotFinite(f"loss of the test samples is {test_loss} after epoch {self.epoch + 1}")
        sums, own = self._sums, self.adagp.predictor.optimizer
        record = EpochRecord(
            epoch=self.epoch + 1, steps=self.batches_done, loss=sums.loss / sums.losses if sums.losses else None,
            test_loss=test_loss, metric=metric, batches=dict(sums.batches), seconds=dict(sums.seconds),
            test_seconds=time.perf_counter() - began, learning_rate=_learning_rate(self.optimizer),
            predictor_learning_rate=own and _learning_rate(own), quality=self.adagp.quality())
        for rate in self.rates:
            rate.step(record)
        self.history.append(record)
        self.epoch, self.batch, self._sums = self.epoch + 1, 0, _Sums()
        for hook in self.hooks:
            hook.epoch(record)
        self._save()

    def _save(self) -> None:
        if self.checkpoints:
            for hook in self.hooks:
                hook.checkpoint()
            self.checkpoints.save(self.state_dict())

    def _forward(self, inputs: Any) -> Any:
        return self.model(*inputs) if isinstance(inputs, tuple) else self.model(inputs)

    def _precision(self):
        return torch.autocast(self.device.type, self._autocast) if self._autocast else nullcontext()

    def _moved(self, value: Any) -> Any:
        return moved(value, self.device, self._channels_last)

    def _random_state(self) -> dict:
        state = {"torch": torch.get_rng_state(), "python": random.getstate()}
        return state | ({"cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {})

    def _load_random_state(self, state: dict) -> None:
        torch.set_rng_state(state["torch"])
        random.setstate(state["python"])
        if "cuda" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"], self.device)


def moved(value: Any, device: torch.device | str, channels_last: bool = False) -> Any:
    """Tensors, alone or in tuples, lists and dicts, on ``device``, those of four dimensions with channels last."""
    if isinstance(value, torch.Tensor):
        images = channels_last and value.ndim == 4
        return value.to(device, memory_format=torch.channels_last if images else torch.preserve_format)
    if isinstance(value, (tuple, list)):
        return type(value)(moved(part, device, channels_last) for part in value)
    return {key: moved(part, device, channels_last) for key, part in value.items()} if isinstance(value, dict) else value


def _learning_rate(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])
