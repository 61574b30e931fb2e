"""How long each stage of a pipeline takes, and how a network's layers become stages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from adagp.spec.config import Design


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """What one stage takes, all in one unit of time; the defaults are the paper's steps.

    ``forward`` and ``backward`` are of one micro-batch. Once per batch come ``prediction`` (Phase GP:
    predict the gradients of the stage's layers from the batch's mean activations and apply them) and
    ``training`` (Phase BP: train the predictor on the true gradients).

    The last two describe a predictor array that works layer by layer beside the main one: it begins
    ``early`` before the batch's last forward pass ends, as the first layer's output is there, and the
    next batch may enter ``late`` before it ends, as its first layers have their new weights by then.
    """

    forward: float = 1
    backward: float = 2
    prediction: float = 0
    training: float = 0
    early: float = 0
    late: float = 0

    def __post_init__(self):
        for name in ("forward", "backward", "prediction", "training", "early", "late"):
            _time(f"StageCost.{name}", getattr(self, name))
        if self.forward == 0:
            raise ValueError(f"StageCost.forward must be positive, not {self.forward!r}")
        for name, bound in (("early", "forward"), ("late", "prediction")):
            if getattr(self, name) > getattr(self, bound):
                raise ValueError(f"StageCost.{name} must be at most {bound}, {getattr(self, bound)!r}, "
                                 f"not {getattr(self, name)!r}")


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """What one layer takes: ``forward`` and ``backward`` of one micro-batch (backward is both gradients),
    ``prediction`` and ``training`` of the predictor once per batch, all in one unit of time."""

    forward: float
    backward: float
    prediction: float = 0
    training: float = 0

    def __post_init__(self):
        for name in ("forward", "backward", "prediction", "training"):
            _time(f"LayerTime.{name}", getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class PipelineCost:
    """``stages`` from the network's input to its output. With ``predictor_array`` prediction and training
    occupy an array of their own on each device instead of the one for forward and backward passes."""

    stages: tuple[StageCost, ...]
    predictor_array: bool = False

    def __post_init__(self):
        if not self.stages:
            raise ValueError("PipelineCost.stages must have at least one stage, not ()")
        for index, stage in enumerate(self.stages):
            if not self.predictor_array and (stage.early or stage.late):
                raise ValueError(f"PipelineCost.stages must have early and late 0 without a predictor_array, "
                                 f"not {stage.early!r} and {stage.late!r} in stage {index}")

    @classmethod
    def steps(cls, devices: int) -> "PipelineCost":
        """The paper's: a forward pass is a step, a backward pass two, predictions cost nothing."""
        whole("devices", devices)
        return cls(stages=(StageCost(),) * devices)

    @classmethod
    def of(cls, layers: Sequence[LayerTime], devices: int, design: Design) -> "PipelineCost":
        """The layers as ``devices`` contiguous stages, of which the longest (forward and backward) is as
        short as it can be.

        ``BASELINE`` predicts nothing. ``LOW`` and ``EFFICIENT`` predict on the main array after the
        stage's last forward pass, ``MAX`` layer by layer on its own. The layers are those of the design:
        what ``LOW`` loads is in their prediction and training.
        """
        bounds = balance([layer.forward + layer.backward for layer in layers], devices)
        stages = [layers[first:end] for first, end in pairwise(bounds)]
        if design is Design.BASELINE:
            return cls(stages=tuple(_stage(stage) for stage in stages))
        combine = _overlapped if design.has_predictor_array else _in_turn
        return cls(stages=tuple(combine(stage) for stage in stages), predictor_array=design.has_predictor_array)


def balance(times: Sequence[float], parts: int) -> tuple[int, ...]:
    """The ``parts`` + 1 bounds of contiguous, non-empty parts of ``times`` with the smallest largest sum.

    Part i is ``times[bounds[i]:bounds[i + 1]]``. Raises ValueError for more parts than times.
    """
    whole("devices", parts)
    if parts > len(times):
        raise ValueError(f"devices must be at most the number of layers, {len(times)}, not {parts!r}")
    until = [0, *accumulate(times)]
    largest = [[sum_ for sum_ in until]]  # largest[k][i]: of the first i times in k + 1 parts
    begins = []                           # where the last of these parts begins
    for part in range(1, parts):
        best = {end: min((max(largest[-1][begin], until[end] - until[begin]), begin) for begin in range(part, end))
                for end in range(part + 1, len(until))}
        largest.append([best[end][0] if end in best else math.inf for end in range(len(until))])
        begins.append(best)
    bounds = [len(times)]
    for best in reversed(begins):
        bounds.append(best[bounds[-1]][1])
    return (*reversed([*bounds, 0]),)


def whole(name: str, value: int, least: int = 1) -> None:
    """Raises ValueError unless ``value`` is an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")


def _time(name: str, value: float) -> None:
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be finite and not negative, not {value!r}")


def _stage(layers: Sequence[LayerTime], **more: float) -> StageCost:
    return StageCost(forward=sum(layer.forward for layer in layers),
                     backward=sum(layer.backward for layer in layers), **more)


def _in_turn(layers: Sequence[LayerTime]) -> StageCost:
    return _stage(layers, prediction=sum(layer.prediction for layer in layers),
                  training=sum(layer.training for layer in layers))


def _overlapped(layers: Sequence[LayerTime]) -> StageCost:
    """With time 0 at the begin of the batch's last forward pass through the stage."""
    begun = begin = layers[0].forward
    predicted, entry = begin, 0
    done = 0
    for layer in layers:
        before, done = done, done + layer.forward
        predicted = max(predicted, done) + layer.prediction
        entry = max(entry, predicted - before)  # of the next batch, for this layer to have its new weights
    return _stage(layers, prediction=predicted - begun, training=sum(layer.training for layer in layers),
                  early=done - begun, late=predicted - entry)
