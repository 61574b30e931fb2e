"""Accuracy against speed on the handwritten digits: schedules and predictors, with the cycles of the
RTL and the bits of the golden machine, which are those of the RTL."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev

import torch

from adagp.compiler import SGD, Adam, FeedbackConfig, PredictorConfig
from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.schedule import Adaptive, Phase, Row, Schedule

from .simulation import rehearse, simulate
from .workload import DigitsNetwork, Workload, digits

PICTURE = Path("build/bench/frontier.png")
EPOCHS, BATCH, SEEDS = 6, 32, (0, 1, 2)
RATIOS = 1, 2, 4, 8
"""k of k:1."""

PREDICTORS = {"paper's predictor": PredictorConfig(size=4, channels=2), "learned feedback": FeedbackConfig()}
DESIGNS = {"paper's predictor": Design.MAX, "learned feedback": Design.EFFICIENT}


@dataclass(frozen=True, kw_only=True)
class Point:
    """``speedup`` over the baseline in cycles of the whole run; ``accuracy`` of all seeds, in percent."""

    name: str
    predictor: str
    speedup: float
    accuracy: tuple[float, ...]

    @property
    def mean(self) -> float:
        return mean(self.accuracy)


def frontier() -> dict:
    """All points; also drawn in ``build/bench/frontier.png``."""
    print(f"digits, {EPOCHS} epochs, batch {BATCH}, seeds {', '.join(map(str, SEEDS))}; cycles of the 8×8 machine")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        base = pool.submit(_cycles, Design.BASELINE, None)
        cycles = {name: pool.submit(_cycles, DESIGNS[name], predictor) for name, predictor in PREDICTORS.items()}
        runs = {(predictor, name): [pool.submit(_rehearse, predictor, schedule, seed) for seed in SEEDS]
                for predictor, name, schedule in _schedules()}
        reference, points = base.result(), []
        for (predictor, name), futures in runs.items():
            results = [future.result() for future in futures]
            per_phase = cycles[predictor].result() if predictor else reference
            speedups = [sum(batches.values()) * reference[Phase.BP] / sum(
                count * per_phase[Phase.BP if phase is Phase.WARMUP else phase] for phase, count in batches.items())
                for batches, _ in results]
            points.append(Point(name=name, predictor=predictor, speedup=mean(speedups),
                                accuracy=tuple(100 * accuracy for _, accuracy in results)))
            print(f"  {predictor or 'back-propagation':20}{name:12} speed-up {points[-1].speedup:5.3f}, accuracy "
                  f"{points[-1].mean:5.1f} ± {stdev(points[-1].accuracy):.1f} %", flush=True)
    replace_file(PICTURE, lambda path: draw(points, path))
    return {f"{point.predictor} {point.name}".strip(): asdict(point) for point in points}


def _schedules() -> Iterator[tuple[str, str, Schedule]]:
    """(predictor, name, schedule)."""
    batches = EPOCHS * (1437 // BATCH)
    warmup = Schedule.paper_warmup(batches)
    yield "", "", Schedule(warmup=0)
    for predictor in PREDICTORS:
        for k in RATIOS:
            yield predictor, f"{k}:1", Schedule(warmup=warmup, rows=(Row(gp=k, bp=1),))
        yield predictor, "as published", Schedule.paper(batches=batches)
        yield predictor, "adaptive", Schedule(warmup=warmup, adaptive=Adaptive(
            least=1, most=8, raise_at=0.3, lower_at=0.1, patience=2))


def _workload(predictor: PredictorConfig | FeedbackConfig | None, schedule: Schedule, seed: int, epochs: int) -> Workload:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    data, labels, test_data, test_labels = digits(seed)
    return Workload(model=DigitsNetwork(), data=data, labels=labels, test_data=test_data, test_labels=test_labels,
                    batch=BATCH, epochs=epochs, epochs_per_start=epochs, schedule=schedule, seed=seed,
                    optimizer=SGD(lr=0.1, momentum=0.5), predictor_optimizer=Adam(lr=1e-3),
                    **({"predictor": predictor} if predictor else {}))


def _config(design: Design) -> AcceleratorConfig:
    return preset("small").with_design(design)


def _rehearse(predictor: str, schedule: Schedule, seed: int) -> tuple[dict[Phase, int], float]:
    design = DESIGNS[predictor] if predictor else Design.BASELINE
    return rehearse(_workload(PREDICTORS.get(predictor), schedule, seed, EPOCHS), _config(design))


def _cycles(design: Design, predictor: PredictorConfig | FeedbackConfig | None) -> dict[Phase, float]:
    """Mean cycles of a batch of each phase, from three batches of each on the RTL. Cycles depend on no data;
    Phase BP measures, so that the adaptive schedule costs what it does."""
    schedule = Schedule(warmup=0, adaptive=Adaptive(least=1, most=1, raise_at=1.0, lower_at=-1.0, patience=1))
    work = _workload(predictor, schedule, 0, 1)
    result = simulate(replace(work, data=work.data[:6 * BATCH], labels=work.labels[:6 * BATCH],
                              test_data=work.test_data[:BATCH], test_labels=work.test_labels[:BATCH]), _config(design))
    return {phase: result.mean_cycles(phase) or 0.0 for phase in Phase}


def draw(points: list[Point], path: Path) -> None:
    """Errors over speed-up, a line for each predictor, with the lowest and highest of the seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, predictor in enumerate(("", *PREDICTORS)):
        some = sorted((point for point in points if point.predictor == predictor), key=lambda point: point.speedup)
        errors = [[max(point.accuracy) - point.mean for point in some], [point.mean - min(point.accuracy) for point in some]]
        axes.errorbar([point.speedup for point in some], [100 - point.mean for point in some], yerr=errors, marker="o",
                      capsize=3, color=f"C{number}", label=predictor or "back-propagation")
        for point in some:  # one predictor's names above, the other's below
            axes.annotate(point.name, (point.speedup, 100 - point.mean), textcoords="offset points", color=f"C{number}",
                          xytext=(4, 7) if number % 2 else (4, -13), fontsize=8)
    axes.set(xlabel="speed-up over back-propagation on the baseline, in cycles", ylabel="test samples classified wrongly, %",
             yscale="log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="upper left")
    figure.savefig(path, format="png", dpi=150)
