"""Seconds of a batch on this computer: plain back-propagation, Phase BP and Phase GP, in turn in one run."""

import time
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from statistics import median

import torch
from torch import nn
from torch.nn import functional

from adagp.models import build
from adagp.spec.schedule import Phase, Schedule
from adagp.training import AdaGP, LearnedFeedback, PaperPredictor, Predictor

EPOCHS, WARMUP = 90, 10
PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "paper": PaperPredictor, "paper, 64 channels": lambda: PaperPredictor(samples=64),
    "paper, 64 features": lambda: PaperPredictor(size=4, samples=64),
    "feedback": lambda: LearnedFeedback(measure_every=8)}
"""The paper's with 256 features, from all output channels of a layer or from 64 of them, and with 64 features;
learned feedback, which measures its quality now and then."""


@dataclass(frozen=True, kw_only=True)
class WallClock:
    """Median seconds of a batch; ``schedule`` is the speed-up of the paper's whole schedule that follows."""

    plain: float
    bp: float
    gp: float

    @property
    def gp_speedup(self) -> float:
        return self.plain / self.gp

    @property
    def bp_slowdown(self) -> float:
        return self.bp / self.plain

    @property
    def schedule_speedup(self) -> float:
        """Of the paper's 90 epochs, ten of them warm-up."""
        share = predicted_share()
        return self.plain / (share * self.gp + (1 - share) * self.bp)


def predicted_share(epoch: int = 1000) -> float:
    """Of the batches of the paper's schedule, epochs of ``epoch`` batches, those of Phase GP."""
    schedule = Schedule.paper(batches=EPOCHS * epoch)
    predicted, left = 0.0, EPOCHS * epoch - schedule.warmup
    for row in schedule.rows:
        batches = row.batches or left
        predicted += batches * row.gp / (row.gp + row.bp)
        left -= batches
    return predicted / (EPOCHS * epoch)


def measure(make: Callable[[], nn.Module], predictor: Callable[[], Predictor], *, batch: int = 128, rounds: int = 7,
            shape: tuple[int, ...] = (3, 32, 32), classes: int = 10, device: str = "cpu") -> WallClock:
    """Each round trains a plain copy of the network on a batch, then one with ``predictor`` on a batch of
    Phase GP and one of Phase BP. The first round, in which memory is allocated, does not count."""
    torch.manual_seed(0)
    plain = make().to(device, memory_format=torch.channels_last)
    model = deepcopy(plain)
    optimizer, own = (torch.optim.SGD(some.parameters(), lr=0.001, momentum=0.9) for some in (plain, model))
    adagp = AdaGP(model, own, predictor=predictor(), schedule=Schedule(warmup=1, gp=1, bp=1))
    images = torch.randn(batch, *shape, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(classes, (batch,), device=device)

    def train_plain() -> None:
        functional.cross_entropy(plain(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    def train_adagp() -> None:
        adagp.backward(functional.cross_entropy(model(images), labels))
        adagp.step()

    seconds = defaultdict(list)
    train_adagp()  # a predictor has something to predict from
    for _ in range(rounds + 1):
        seconds["plain"].append(_timed(train_plain, device))
        for _ in range(2):
            phase = adagp.phase
            seconds["gp" if phase is Phase.GP else "bp"].append(_timed(train_adagp, device))
    return WallClock(**{name: median(times[1:]) for name, times in seconds.items()})


def _timed(work: Callable[[], None], device: str) -> float:
    began = time.perf_counter()
    work()
    if device != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - began


def wallclock() -> dict:
    """VGG13 on images of 32×32, batch 128, with each predictor."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    report = {"device": torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"}
    print(f"VGG13, 32² images, batch 128, {report['device']}: seconds of a batch")
    for name, predictor in PREDICTORS.items():
        result = measure(lambda: build("vgg13", form="cifar", classes=10), predictor, device=device)
        report[name] = asdict(result) | {"gp_speedup": result.gp_speedup, "bp_slowdown": result.bp_slowdown,
                                         "schedule_speedup": result.schedule_speedup}
        print(f"  {name:19} plain {result.plain:.3f}, Phase BP {result.bp:.3f} ({result.bp_slowdown:.3f} times), Phase GP "
              f"{result.gp:.3f} ({result.gp_speedup:.2f} times as fast); 90 epochs {result.schedule_speedup:.3f} times as fast",
              flush=True)
    return report
