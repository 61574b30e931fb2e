"""The results of simulated training runs as a table, pictures and JSON."""

import json
from dataclasses import asdict
from pathlib import Path

from adagp.compiler import FeedbackConfig, PredictorConfig
from adagp.files import replace_file
from adagp.spec.isa import Engine, Pass
from adagp.spec.schedule import Phase, Schedule

from . import simulation_picture, timeline, timeline_picture
from .run_result import RunResult, baseline_of, curve, equal_time_accuracy, speedup

PASSES = {"forward": Pass.FORWARD, "input_gradient": Pass.INPUT_GRADIENT, "weight_gradient": Pass.WEIGHT_GRADIENT}
BATCHES = (Phase.WARMUP, Phase.BP, Phase.GP)
_MOVES = (Phase.ENTER, Phase.LEAVE)


def schedule_name(schedule: Schedule | None) -> str:
    """In a line: warm-up batches, then rows of batches × k:m."""
    if schedule is None:
        return "back-propagation"
    rows = [f"{f'{row.batches}×' if row.batches else ''}{'k' if schedule.adaptive else row.gp}:{row.bp}"
            for row in schedule.rows]
    return f"{schedule.warmup} warm-up, {', '.join(rows)}"


def predictor_name(predictor: PredictorConfig | FeedbackConfig | None) -> str:
    return {type(None): "none", PredictorConfig: "paper", FeedbackConfig: "feedback"}[type(predictor)]


def as_json(results: dict[str, RunResult]) -> dict:
    """The machine-readable report: ``runs``, an entry per run in the order of the results."""
    return {"runs": [_run_as_json(name, result, baseline_of(results)) for name, result in results.items()]}


def _run_as_json(name: str, result: RunResult, baseline: RunResult | None) -> dict:
    counters, config = result.counters, result.config

    def by_phase(phases, what) -> dict:
        return {phase.name.lower(): counters[f"PHASE_{what}[{phase.value}]"] for phase in phases}

    return {
        "name": name, "design": config.design.name.lower(),
        "configuration": {"rows": config.rows, "columns": config.columns, "bus_bits": config.bus_bits},
        "schedule": None if result.schedule is None else asdict(result.schedule),
        "predictor": None if result.predictor is None else {
            "kind": predictor_name(result.predictor), **asdict(result.predictor)},
        "epochs": result.epochs, "batches_per_epoch": result.epoch, "bit_exact": True,  # else there is no result
        "doorbells": len(result.stretches), "register_writes_while_running": result.register_writes,
        "phases": {phase.name.lower(): {"batches": result.batches(phase), "mean_cycles": result.mean_cycles(phase)}
                   for phase in BATCHES if result.batches(phase)},
        "cycles": result.cycles, "cycles_of_moves": by_phase(_MOVES, "CYCLES"),
        "speedup": speedup(result, baseline),
        "accuracy": {"before": result.accuracy_before, "after": [stretch.accuracy for stretch in result.stretches],
                     "epochs": [stretch.epochs for stretch in result.stretches],
                     "cycles": curve(result)[0][1:],
                     "baseline_at_the_same_cycles": equal_time_accuracy(result, baseline)},
        "bytes": {"read": counters["BYTES_READ"], "written": counters["BYTES_WRITTEN"],
                  "instructions": counters["BYTES_FETCHED"]},
        "predictor_bytes_read": {phase.name.lower(): count for phase, count in result.predictor_bytes.items()},
        "pass_cycles": {which.name.lower(): result.pass_cycles(which) for which in Pass},
        "utilisation": {key: result.utilisation(which) for key, which in PASSES.items()},
        "busy_cycles": {engine.name.lower(): counters[f"BUSY[{engine.value}]"] for engine in Engine},
        "k": [{"batch": batch, "k": gp} for batch, gp in result.gp],
        "quality": result.quality,
    }


def table(results: dict[str, RunResult]) -> str:
    """Rows of facts, a column per run."""
    baseline = baseline_of(results)

    def number(value, form=",.0f") -> str:
        return "–" if value is None else format(value, form)

    rows = [("array", lambda r: f"{r.config.rows}×{r.config.columns}"),
            ("predictor", lambda r: predictor_name(r.predictor)),
            ("epochs, all bit-exact", lambda r: f"{r.epochs}"),
            ("batches warm-up / BP / GP", lambda r: " / ".join(f"{r.batches(phase)}" for phase in BATCHES)),
            *((f"cycles per {phase.name.lower()} batch", lambda r, phase=phase: number(r.mean_cycles(phase)))
              for phase in BATCHES),
            ("cycles of the run", lambda r: f"{r.cycles:,}"),
            ("speed-up over baseline", lambda r: number(speedup(r, baseline), ".3f")),
            ("accuracy after", lambda r: f"{r.accuracy:.3f}"),
            ("baseline's in as many cycles", lambda r: number(equal_time_accuracy(r, baseline), ".3f")),
            *((f"utilisation {key.replace('_', ' ')}", lambda r, which=which: f"{r.utilisation(which):.3f}")
              for key, which in PASSES.items()),
            ("bytes read", lambda r: f"{r.counters['BYTES_READ']:,}"),
            ("of these, predictor's", lambda r: f"{sum(r.predictor_bytes.get(phase, 0) for phase in BATCHES):,}"),
            ("bytes written", lambda r: f"{r.counters['BYTES_WRITTEN']:,}"),
            ("bytes of instructions", lambda r: f"{r.counters['BYTES_FETCHED']:,}"),
            *([("k in the end", lambda r: f"{r.gp[-1][1]}" if r.gp else "–")]
              if any(result.gp for result in results.values()) else [])]
    cells = [["", *results]] + [[title, *map(fact, results.values())] for title, fact in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                       for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells]
    schedules = [f"{name}: {schedule_name(result.schedule)}" for name, result in results.items()]
    return "\n".join([lines[0], "─" * (sum(widths) + 2 * len(widths) - 2), *lines[1:], "", *schedules])


def write(results: dict[str, RunResult], folder: Path) -> str:
    """Leaves ``report.json``, ``table.txt`` and ``training.png`` in ``folder``, and of recorded batches
    ``timeline.png`` and a trace per run and phase; returns the table."""
    text = table(results)
    replace_file(folder / "report.json", lambda path: path.write_text(json.dumps(as_json(results), indent=1) + "\n"))
    replace_file(folder / "table.txt", lambda path: path.write_text(text + "\n"))
    simulation_picture.picture(results, folder / "training.png")
    recorded = {name: (result.config, result.recorded) for name, result in results.items() if result.recorded}
    for name, (config, batches) in recorded.items():
        timeline.write(name.replace(" ", "-"), config, batches, folder)
    if recorded:
        timeline_picture.picture(recorded, folder / "timeline.png")
    return text
