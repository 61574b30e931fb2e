"""A sweep over this project's machine on all cores, as tables and a picture."""

import csv
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from adagp.compiler import CompileError, PredictorConfig
from adagp.cost.exploration import OBJECTIVES, Journal, Outcome, Point, elements, explore, front, memory_bits
from adagp.cost.machine import ExternalMemory
from adagp.cost.schedules import Shares
from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig

from .machine_evaluation import mean, phases

_COLOURS = {"baseline": "#777777", "low": "#ddaa33", "efficient": "#4477aa", "max": "#aa3377"}


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """What is explored: the network that ``make`` gives, for samples of ``input_shape``, on machines like ``base``."""

    title: str
    make: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    base: AcceleratorConfig
    shares: Shares
    predictor: PredictorConfig = PredictorConfig()
    memory: ExternalMemory = ExternalMemory()
    estimated: bool = False

    @property
    def sweep(self) -> dict:
        """What decides about an outcome, for the journal."""
        return {"network": self.title, "input": list(self.input_shape), "base": repr(self.base),
                "shares": [float(share) for share in (self.shares.warmup, self.shares.bp, self.shares.gp)],
                "predictor": asdict(self.predictor), "memory": asdict(self.memory), "estimated": self.estimated}

    def outcome(self, point: Point) -> Outcome:
        """What cannot be mapped has an error."""
        try:
            config = point.config(self.base)
            costs = phases(self.make(), config, batch=point.batch, input_shape=self.input_shape, predictor=self.predictor,
                           memory=self.memory, estimated=self.estimated)
        except (CompileError, ValueError) as error:
            return Outcome(point=point, error=str(error))
        return Outcome(
            point=point, elements=elements(config), memory=memory_bits(config),
            cycles=mean(costs, self.shares, lambda cost: cost.cycles) / point.batch,
            bytes=mean(costs, self.shares, lambda cost: cost.bytes_read + cost.bytes_fetched + cost.bytes_written) / point.batch)

    def outcomes(self, points: Sequence[Point], processes: int | None = None) -> Iterator[Outcome]:
        """As they are found, on as many processes as there are cores; with one, on this."""
        processes = processes or os.cpu_count()
        if processes == 1 or not points:
            yield from map(self.outcome, points)
            return
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"),
                                 initializer=_begin_worker) as pool:
            running = [pool.submit(self.outcome, point) for point in points]
            try:
                for done in as_completed(running):
                    yield done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _begin_worker() -> None:
    """One thread each; an interrupt is for the process that asks."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(exploration: Exploration, points: Sequence[Point], objectives: Sequence[str], folder: Path,
        processes: int | None = None) -> list[Outcome]:
    """Goes on with the sweep in ``folder`` and leaves its tables and picture there."""
    journal = Journal(folder / "points.jsonl", exploration.sweep)
    known = sum(point in journal.outcomes for point in set(points))
    if known:
        print(f"{known} of {len(set(points))} points are known from {folder}", flush=True)
    outcomes = explore(points, journal, lambda missing: exploration.outcomes(missing, processes), progress=lambda outcome, left: print(
        f"{label(outcome.point)}: {outcome.error or f'{outcome.cycles:,.0f} cycles, {outcome.bytes:,.0f} bytes a sample'}; "
        f"{left} left", flush=True))
    best = front(outcomes, objectives)
    rows = [_row(outcome, on_front) for outcome, on_front in zip(outcomes, best)]
    replace_file(folder / "points.csv", lambda path: _write_csv(rows, path))
    report = {"sweep": exploration.sweep, "objectives": {name: OBJECTIVES[name] for name in objectives}, "points": rows}
    replace_file(folder / "report.json", lambda path: path.write_text(json.dumps(report, indent=1) + "\n"))
    if any(best):
        for suffix in (".png", ".svg"):
            replace_file(folder / f"front{suffix}", lambda path: picture(exploration.title, outcomes, best, path))
    return outcomes


def label(point: Point) -> str:
    return (f"{point.rows}×{point.columns} {point.design}, batch {point.batch}, bus {point.bus_bits}, {point.vector_words} words "
            f"in {point.vector_banks} banks, {point.operands} operands")


def text(outcomes: Sequence[Outcome], objectives: Sequence[str]) -> str:
    """The front, smallest first objective first, and how many points it beats."""
    best = [outcome for outcome, on_front in zip(outcomes, front(outcomes, objectives)) if on_front]
    failed = sum(outcome.error is not None for outcome in outcomes)
    best.sort(key=lambda outcome: tuple(getattr(outcome, name) for name in objectives))
    lines = [f"front in {', '.join(objectives)}: {len(best)} of {len(outcomes)} points" + (
        f"; {failed} cannot be mapped" if failed else "")]
    if best:
        lines += ["", f"{'array':>9} {'design':>10} {'batch':>6} {'bus':>5} {'words':>6} {'banks':>6} {'operands':>9}"
                      f"{'cycles/sample':>15}{'bytes/sample':>14}{'elements':>10}{'memory, KiB':>13}"]
    for each in best:
        point = each.point
        lines.append(f"{f'{point.rows}×{point.columns}':>9} {point.design:>10} {point.batch:6} {point.bus_bits:5} "
                     f"{point.vector_words:6} {point.vector_banks:6} {point.operands:9}{each.cycles:15,.0f}{each.bytes:14,.0f}"
                     f"{each.elements:10,}{each.memory / 8192:13,.0f}")
    return "\n".join(lines)


def _row(outcome: Outcome, on_front: bool) -> dict:
    values = asdict(outcome)
    return values.pop("point") | values | {"front": on_front}


def _write_csv(rows: Sequence[dict], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def picture(title: str, outcomes: Sequence[Outcome], best: Sequence[bool], path: Path) -> None:
    """Cycles of a sample over elements and over memory on chip; what nobody beats is filled."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    figure.suptitle(f"{title}: cycles of a sample, on average over the schedule; filled: on the front", fontsize=11)
    sides = (axes[0], "processing elements", lambda outcome: outcome.elements), (
        axes[1], "memory on chip, KiB", lambda outcome: outcome.memory / 8192)
    for axis, name, measure in sides:
        for design, colour in _COLOURS.items():
            for wanted in (False, True):
                some = [outcome for outcome, filled in zip(outcomes, best)
                        if outcome.point.design == design and not outcome.error and filled is wanted]
                axis.scatter([measure(outcome) for outcome in some], [outcome.cycles for outcome in some], s=38, linewidths=1.2,
                             facecolors=colour if wanted else "none", edgecolors=colour, zorder=2 + wanted)
        axis.set(xlabel=name, xscale="log", yscale="log")
        for each in (axis.xaxis, axis.yaxis):
            each.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
            each.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            each.set_minor_locator(NullLocator())
        axis.tick_params(which="both", labelsize=8)
        axis.grid(which="both", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    axes[0].set_ylabel("cycles of a sample")
    for design in dict.fromkeys(outcome.point.design for outcome in outcomes):
        axes[1].scatter([], [], s=38, color=_COLOURS[design], label=design)
    axes[1].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
