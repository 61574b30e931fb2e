"""A training run made from its settings: data, model, predictor, schedules, trainer."""

import inspect
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adagp import data, models
from adagp.spec.named_schedule import named_schedule
from adagp.spec.schedule import Adaptive, Schedule
from adagp.training import AdaGP
from adagp.training.approximation import Approximation
from adagp.training.approximation_schedule import named_approximation
from adagp.training.backpropagation import Backpropagation
from adagp.training.checkpoint import first_line
from adagp.training.predictors import CONTROLS, PREDICTORS, Predictor
from adagp.training.presets import PLATEAUS, Settings
from adagp.training.rates import Rate, rate
from adagp.training.trainer import Trainer, moved

ALL_PREDICTORS = {**PREDICTORS, **CONTROLS}
_AUTOCAST = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """``schedule`` is None where nothing is predicted. ``description`` says which run it is, in dicts, strings
    and numbers: two runs of equal descriptions on equal machines end with the same weights."""

    settings: Settings
    schedule: Schedule | None
    task: data.Task
    trainer: Trainer

    @property
    def description(self) -> dict:
        batches = {"batches per epoch": self.trainer.batches_per_epoch, "test batches": len(self.trainer.test)}
        counted = {self.settings.lr_schedule, self.settings.predictor_lr_schedule} & {"multistep", "cosine"}
        return asdict(self.settings) | batches | {
            "rows of the schedule": None if self.schedule is None else asdict(self.schedule),
            "epochs of the learning rate": self.settings.epochs if counted else None,
            "threads": torch.get_num_threads()}


def prepare(settings: Settings, *, root: Path = Path("data"), device: str = "cpu", workers: int = 0,
            make_model: Callable[[], nn.Module] | None = None) -> TrainingRun:
    """The run that ``settings`` describe, before its first batch; ValueError says what does not fit.

    ``root`` is the folder of the data, ``workers`` the processes that load it. ``make_model`` is called instead of
    building the model that the settings name. Weights follow from the seed alone.
    """
    _require_device(device)
    if not make_model and settings.model not in models.NAMES:
        raise ValueError(f"model must be one of {', '.join(models.NAMES)}, not {settings.model!r}")
    source = _data(settings, root)
    train = data.Batches(source.train, batch=settings.batch, seed=settings.seed, drop_last=True, workers=workers)
    test = data.Batches(source.test, batch=settings.batch, shuffle=False, workers=workers)
    if len(train) < settings.accumulate:
        raise ValueError(f"Settings.accumulate must be at most the {len(train)} batches of an epoch, not {settings.accumulate}")
    random.seed(settings.seed)
    torch.manual_seed(settings.seed)
    model = make_model() if make_model else _model(settings, source)
    layout = torch.channels_last if settings.channels_last else torch.preserve_format
    model = model.to(device, memory_format=layout)
    _require_fit(model, source, settings, device)
    optimizer = _optimizer(settings, model)
    scaler = torch.amp.GradScaler(torch.device(device).type) if settings.amp == "fp16" else None
    if settings.predictor == "none":
        schedule, adagp = None, Backpropagation(model, optimizer, accumulate=settings.accumulate, scaler=scaler,
                                                approximation=_approximation(settings, model, scaler))
    else:
        schedule = _schedule(settings, len(train) // settings.accumulate)
        adagp = AdaGP(model, optimizer, predictor=_predictor(settings), schedule=schedule, exclude=settings.exclude,
                      gate=settings.gate, rate=settings.gp_rate, clip=settings.gp_clip,
                      accumulate=settings.accumulate, scaler=scaler)
    trainer = Trainer(adagp, source.task, train, test, rates=_rates(settings, optimizer, adagp.predictor),
                      device=device, autocast=_AUTOCAST[settings.amp], channels_last=settings.channels_last)
    return TrainingRun(settings=settings, schedule=schedule, task=source.task, trainer=trainer)


def predictor_options(name: str) -> tuple[str, ...]:
    """Those that ``predictor_options`` may give; the learning rate is not among them."""
    return tuple(option for option in inspect.signature(ALL_PREDICTORS[name]).parameters if option != "lr")


def _require_device(name: str) -> None:
    try:
        float(torch.zeros(1, device=name))
    except (RuntimeError, AssertionError) as error:  # the latter: PyTorch without CUDA
        raise ValueError(f"device must be one that PyTorch can use, not {name!r}: {first_line(error)}") from error


def _data(settings: Settings, root: Path) -> data.DataSet:
    name = settings.data
    if name not in data.NAMES:
        raise ValueError(f"data must be one of {', '.join(data.NAMES)}, not {name!r}")
    known = data.options(name)
    for option, value in settings.data_options.items():
        if option not in known:
            raise ValueError(f"data option of {name} must be {', '.join(known) or 'left out'}, not {option!r}")
        if known[option] is int and not isinstance(value, int):
            raise ValueError(f"data option {option} of {name} must be an integer, not {value!r}")
    return data.load(name, root=root, **settings.data_options)


def _model(settings: Settings, source: data.DataSet) -> nn.Module:
    options = {} if settings.form is None else {"form": settings.form}
    if source.vocabularies:
        options["source_words"] = len(source.vocabularies[0])
    try:
        return models.build(settings.model, classes=source.classes, channels=source.shape[0], **options)
    except TypeError as error:  # an option that this network has not
        raise ValueError(f"model must be one for {settings.data}, not {settings.model!r}: {first_line(error)}") from error


def _require_fit(model: nn.Module, source: data.DataSet, settings: Settings, device: str) -> None:
    """A model that cannot take the data, or whose outputs cannot be judged, is refused before a long run begins;
    buffers and random numbers are as if it had not been tried."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    python, kind, autocast = random.getstate(), torch.device(device).type, _AUTOCAST[settings.amp]
    with torch.random.fork_rng([device] if kind == "cuda" else []):
        for samples, training in ((source.train, True), (source.test, False)):
            few = list(range(min(2, settings.batch, len(samples))))
            inputs, target = moved(samples.batch(few, torch.Generator()), device, settings.channels_last)
            model.train(training)
            with torch.autocast(kind, autocast, enabled=autocast is not None):
                _try(model, inputs, target, source)
    random.setstate(python)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])


def _try(model: nn.Module, inputs: Any, target: Any, source: data.DataSet) -> None:
    """One batch in the model's own mode."""
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        output = model(*inputs)
    except _MISFITS as error:
        raise ValueError(f"model cannot take inputs of {_shapes(inputs)}: {first_line(error)}") from error
    if source.task is data.CLASSIFICATION and isinstance(output, torch.Tensor) and output.shape[1:2] < (source.classes,):
        raise ValueError(f"model must return logits of the shape (samples, {source.classes}), not of {_shapes(output)}")
    try:
        loss = source.task.loss(output, target)
        if not model.training:
            source.task.score(output, target)
    except (*_MISFITS, AttributeError) as error:
        raise ValueError(f"model must return what {source.task.name} can judge, not {_shapes(output)}: "
                         f"{first_line(error)}") from error
    if model.training and not loss.requires_grad:
        raise ValueError("model must have a trained parameter that its output depends on, and has none")


_MISFITS = RuntimeError, ValueError, TypeError, IndexError
"""What PyTorch raises where shapes or kinds do not fit."""


def _shapes(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"the shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return " and ".join(map(_shapes, value))
    return f"a {type(value).__name__}"


def _optimizer(settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), **common)
    return torch.optim.SGD(model.parameters(), momentum=settings.momentum, **common)


def _schedule(settings: Settings, epoch: int) -> Schedule:
    rule = Adaptive(least=settings.k_least, most=settings.k_most, raise_at=settings.raise_at,
                    lower_at=settings.lower_at, patience=settings.patience)
    return named_schedule(settings.schedule, batches=settings.epochs * epoch, epoch=epoch, adaptive=rule,
                          warmup=None if settings.warmup is None else settings.warmup * epoch)


def _approximation(settings: Settings, model: nn.Module, scaler: torch.amp.GradScaler | None) -> Approximation | None:
    if settings.approximate == "none":
        return None
    approximation = Approximation(model, named_approximation(settings.approximate), exclude=settings.exclude, scaler=scaler)
    if not approximation.schedule.approximated(len(approximation.layers)):
        raise ValueError("approximate must approximate some of the model's convolutions that are not excluded, of which there "
                         f"are {len(approximation.layers)}, not {settings.approximate!r}")
    return approximation


def _predictor(settings: Settings) -> Predictor:
    name, options = settings.predictor, dict(settings.predictor_options)
    if name not in ALL_PREDICTORS:
        raise ValueError(f"predictor must be {', '.join(ALL_PREDICTORS)} or none, not {name!r}")
    known = predictor_options(name)
    for option in options:
        if option not in known:
            raise ValueError(f"predictor option of {name} must be {', '.join(known) or 'left out'}, not {option!r}")
    if "lr" in inspect.signature(ALL_PREDICTORS[name]).parameters:
        options["lr"] = settings.predictor_lr
    return ALL_PREDICTORS[name](**options)


def _rates(settings: Settings, optimizer: torch.optim.Optimizer, predictor: Predictor) -> list[Rate]:
    common = {"epochs": settings.epochs, "factor": settings.lr_factor, "patience": settings.lr_patience,
              "milestones": settings.lr_milestones}
    rates = [rate(settings.lr_schedule, optimizer, follows=PLATEAUS[settings.plateau], **common)]
    if predictor.optimizer is not None:
        rates.append(rate(settings.predictor_lr_schedule, predictor.optimizer, follows="mse", **common))
    return [found for found in rates if found is not None]
