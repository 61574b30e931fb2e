"""What a training run leaves: its figures as JSON, a line, and a picture."""

import json
from collections import Counter
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

from adagp.files import replace_file
from adagp.training.records import EpochRecord
from adagp.training.trainer import TITLES

from .training_curves import picture
from .training_run import TrainingRun

_PHASES = {phase.name.lower(): title for phase, title in TITLES.items()}


def as_json(run: TrainingRun, history: tuple[EpochRecord, ...]) -> dict:
    """The machine-readable report: settings, an entry per epoch, and the figures of the whole run;
    ``history`` is of one epoch at least."""
    batches, seconds = _totals(history)
    return {
        "settings": asdict(run.settings),
        "schedule": None if run.schedule is None else asdict(run.schedule),
        "batches": batches, "seconds_per_batch": seconds,
        "metric": {"name": run.task.metric, "last": history[-1].metric, "best": max(record.metric for record in history)},
        "epochs": [record.as_state() | {"cosine": record.cosine, "mse": record.mse} for record in history]}


def summary(run: TrainingRun, history: tuple[EpochRecord, ...]) -> str:
    """In a line: the metric, and of each phase the batches and the seconds that one took."""
    batches, seconds = _totals(history)
    phases = [f"{batches[name]} {title} of {1000 * seconds[name]:.3g} ms" for name, title in _PHASES.items()
              if name in batches]
    return f"{run.task.metric} {history[-1].metric:.4f} after {len(history)} epochs; batches: {', '.join(phases)}"


def epoch_line(run: TrainingRun, record: EpochRecord) -> str:
    numbers = {"loss": record.loss, "test loss": record.test_loss, run.task.metric: record.metric, "cosine": record.cosine}
    told = ", ".join(f"{name} {value:.4f}" for name, value in numbers.items() if value is not None)
    return f"epoch {record.epoch}: {told}"


def write(run: TrainingRun, folder: Path) -> None:
    """Leaves ``report.json`` and ``curves.png`` in ``folder``; nothing before the first epoch is done."""
    history = tuple(run.trainer.history)
    if not history:
        return
    report = _with_nulls(as_json(run, history))
    replace_file(folder / "report.json", lambda path: path.write_text(json.dumps(report, indent=1) + "\n"))
    picture(history, run.task.metric, folder / "curves.png")


def _with_nulls(value: Any) -> Any:
    """Numbers that JSON has not, as it has null: the error in percent of a gradient of almost nothing is infinite."""
    if isinstance(value, dict):
        return {key: _with_nulls(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(_with_nulls, value))
    return None if isinstance(value, float) and not isfinite(value) else value


def _totals(history: tuple[EpochRecord, ...]) -> tuple[dict[str, int], dict[str, float]]:
    """Batches by phase, and the mean seconds of one."""
    batches = sum((Counter(record.batches) for record in history), Counter())
    seconds = sum((Counter(record.seconds) for record in history), Counter())
    return dict(batches), {phase: seconds[phase] / count for phase, count in batches.items()}
