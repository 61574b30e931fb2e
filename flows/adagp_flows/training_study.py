"""What predicted gradients save, and what they cost in accuracy: handwritten digits, every control.

``nox -s train`` trains each method with each schedule from five seeds, and back-propagation also for
fewer epochs, since that is what saves time without any prediction. Parts: ``digits`` (half an hour
on two cores) and ``approximation`` (approximated weight gradients, ten minutes). Reports, tables and
pictures are left in ``build/train``.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from math import cos, pi, sqrt
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import nn
from tqdm import tqdm

from adagp.data import Batches, load
from adagp.files import replace_file
from adagp.models import build
from adagp.spec.named_schedule import named_schedule
from adagp.spec.schedule import Adaptive, Phase, Schedule
from adagp.training import CONTROLS, AdaGP, LearnedFeedback, PaperPredictor, Predictor
from adagp.training.trainer import Trainer

from . import approximation_study
from .parts import run_parts
from .phase_costs import phase_costs
from .study_report import picture, table

FOLDER = Path("build/train")
SEEDS = 0, 1, 2, 3, 4
BATCH, EPOCHS, WARMUP = 32, 30, 3
SHARES = 0.5, 0.65, 0.8
"""Of the epochs, for which back-propagation alone is trained as well."""

ADAPTIVE = Adaptive(least=0, most=4, raise_at=0.3, lower_at=0.15, patience=2)
SCHEDULES = "1:1", "2:1", "4:1", "paper", "adaptive"
SOME = "2:1", "4:1"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A data set and how it is learned. With ``tuned``, the convolutions begin as He et al. have it and the
    learning rate falls to zero along a cosine; else all is as PyTorch begins, and it stays."""

    data: str
    options: dict = field(default_factory=dict)
    lr: float = 0.01
    tuned: bool = False
    schedules: tuple[str, ...] = SCHEDULES


RECIPES = {
    "clean": Recipe(data="digits"),
    "noisy": Recipe(data="digits-noisy", options={"test_copies": 4}),
    "noisy, tuned": Recipe(data="digits-noisy", options={"test_copies": 4}, lr=0.02, tuned=True, schedules=SOME)}


@dataclass(frozen=True, kw_only=True)
class Method:
    """What Phase GP does."""

    make: Callable[[], Predictor]
    control: bool = False


METHODS = {
    "paper's predictor": Method(make=lambda: PaperPredictor(size=4, channels=4, lr=1e-3)),
    "learned feedback": Method(make=LearnedFeedback),
    "feedback with masks": Method(make=lambda: LearnedFeedback(masks=True)),
    **{name: Method(make=make, control=True) for name, make in CONTROLS.items()}}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training. ``method`` None is back-propagation."""

    recipe: str
    method: str | None
    schedule: str
    seed: int
    epochs: int = EPOCHS


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """``accuracy`` on the test samples in percent; ``time`` in batches of plain back-propagation; ``cosine`` is
    that of the last epoch."""

    accuracy: float
    bp: int
    gp: int
    time: float
    cosine: float | None
    notices: list[str]


@dataclass(frozen=True, kw_only=True)
class Point:
    """The outcomes of all seeds."""

    recipe: str
    method: str | None
    schedule: str
    epochs: int
    outcomes: tuple[Outcome, ...]

    @property
    def accuracy(self) -> float:
        return fmean(outcome.accuracy for outcome in self.outcomes)

    @property
    def deviation(self) -> float:
        return stdev(outcome.accuracy for outcome in self.outcomes) if len(self.outcomes) > 1 else 0.0

    @property
    def error(self) -> float:
        """Standard error of :attr:`accuracy`."""
        return self.deviation / sqrt(len(self.outcomes))

    @property
    def bp(self) -> float:
        return fmean(outcome.bp for outcome in self.outcomes)

    @property
    def time(self) -> float:
        return fmean(outcome.time for outcome in self.outcomes)


def runs(recipes=tuple(RECIPES), seeds=SEEDS, epochs: int = EPOCHS) -> Iterator[Run]:
    """All of the study. Controls have no quality that a schedule could follow."""
    for recipe in recipes:
        for seed in seeds:
            for share in (*SHARES, 1.0):
                yield Run(recipe=recipe, method=None, schedule="", seed=seed, epochs=round(share * epochs))
            for name, method in METHODS.items():
                for schedule in RECIPES[recipe].schedules:
                    if not (method.control and schedule == "adaptive"):
                        yield Run(recipe=recipe, method=name, schedule=schedule, seed=seed, epochs=epochs)


def train(run: Run, threads: int = 1) -> Outcome:
    """One training from the beginning to the end."""
    torch.set_num_threads(threads)
    recipe = RECIPES[run.recipe]
    source = load(recipe.data, seed=run.seed, **recipe.options)
    batches = Batches(source.train, batch=BATCH, seed=run.seed, drop_last=True)
    torch.manual_seed(run.seed)
    model = build("digits", classes=source.classes, channels=source.shape[0])
    if not recipe.tuned:
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.reset_parameters()
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.lr, momentum=0.9)
    method = METHODS[run.method] if run.method else Method(make=CONTROLS["skip"])
    predictor = method.make()
    schedule = Schedule(warmup=0) if run.method is None else named_schedule(
        run.schedule, batches=run.epochs * len(batches), epoch=len(batches), adaptive=ADAPTIVE,
        warmup=round(WARMUP / EPOCHS * run.epochs) * len(batches))
    adagp = AdaGP(model, optimizer, predictor=predictor, schedule=schedule)
    notices: list[str] = []
    _fit(adagp, batches, run.epochs, notices, recipe.lr if recipe.tuned else None)
    trainer = Trainer(adagp, source.task, batches, Batches(source.test, batch=360, shuffle=False))
    _, accuracy = trainer.evaluate()
    bp, gp = adagp.batches[Phase.WARMUP] + adagp.batches[Phase.BP], adagp.batches[Phase.GP]
    costs = phase_costs(model, torch.zeros(BATCH, *source.shape), predictor)
    return Outcome(accuracy=100 * accuracy, bp=bp, gp=gp, time=costs.time(bp, gp), cosine=adagp.cosine, notices=notices)


def _fit(adagp: AdaGP, batches: Batches, epochs: int, notices: list[str], falling: float | None) -> None:
    """The loop, which ends early if the model diverges; with ``falling`` the learning rate falls from there
    along a cosine, batch by batch."""
    loss = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        for number, (inputs, labels) in enumerate(batches.epoch(epoch)):
            if falling:
                adagp.optimizer.param_groups[0]["lr"] = falling * (
                    1 + cos(pi * (epoch + number / len(batches)) / epochs)) / 2
            if adagp.runs:
                output = adagp.model(inputs)
                value = loss(output, labels) if adagp.needs_loss else None
                if not output.isfinite().all():
                    notices.append(f"epoch {epoch + 1}: diverged")
                    return
                adagp.backward(value)
            adagp.step()
            notices += [f"epoch {epoch + 1}: {notice}" for notice in adagp.notices]
            adagp.notices.clear()


def study(chosen: list[Run]) -> list[Point]:
    """All runs, on all cores, with a progress bar; a point for those that differ in the seed alone."""
    outcomes: dict[Run, Outcome] = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(train, run): run for run in chosen}
        with tqdm(total=len(waiting), unit="run") as bar, ExitStack() as stack:
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)  # if one fails, or the user interrupts
            for future in as_completed(waiting):
                run = waiting[future]
                outcomes[run] = future.result()
                bar.set_postfix_str(f"{run.recipe}, {run.method or 'back-propagation'} {run.schedule}: "
                                    f"{outcomes[run].accuracy:.1f} %", refresh=False)
                bar.update()
    groups: dict[tuple, list[Outcome]] = {}
    for run in chosen:
        groups.setdefault((run.recipe, run.method, run.schedule, run.epochs), []).append(outcomes[run])
    return [Point(recipe=recipe, method=method, schedule=schedule, epochs=epochs, outcomes=tuple(some))
            for (recipe, method, schedule, epochs), some in groups.items()]


def digits() -> dict:
    """The study of all recipes; ``digits.txt`` and ``digits.png`` in the folder."""
    points = study(list(runs()))
    text = "\n\n".join(table([point for point in points if point.recipe == name], METHODS, recipe.schedules)
                       for name, recipe in RECIPES.items())
    print(text)
    FOLDER.mkdir(parents=True, exist_ok=True)
    replace_file(FOLDER / "digits.txt", lambda path: path.write_text(text + "\n"))
    replace_file(FOLDER / "digits.png", lambda path: picture(points, list(RECIPES), METHODS, path))
    return {"batch": BATCH, "epochs": EPOCHS, "warmup": WARMUP, "seeds": SEEDS, "points": [
        asdict(point) | {"accuracy": point.accuracy, "deviation": point.deviation, "time": point.time} for point in points]}


def approximation() -> dict:
    """The study of approximated weight gradients; ``approximation.txt`` in the folder."""
    result = approximation_study.run(FOLDER)
    print((FOLDER / "approximation.txt").read_text())
    return result


PARTS: dict[str, Callable[[], dict]] = {"digits": digits, "approximation": approximation}


if __name__ == "__main__":
    sys.exit(run_parts("train", __doc__, PARTS, FOLDER / "report.json"))
