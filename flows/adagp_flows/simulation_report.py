"""The results of a simulated training run as a table, a picture and JSON."""

import json
from pathlib import Path

from adagp.spec.isa import Pass
from adagp.spec.schedule import Phase

from . import timeline, timeline_picture
from .files import replace_file
from .simulation import DesignResult

PASSES = {"forward": Pass.FORWARD, "input_gradient": Pass.INPUT_GRADIENT, "weight_gradient": Pass.WEIGHT_GRADIENT}
_COLOURS = {"forward": "#4477aa", "input_gradient": "#66ccee", "weight_gradient": "#228833", "predictor": "#ee6677"}
_PHASE_COLOURS = {Phase.WARMUP: "#bbbbbb", Phase.BP: "#4477aa", Phase.GP: "#ee6677"}


def speedups(results: dict[str, DesignResult]) -> dict[str, float]:
    """Cycles of the baseline's run over each design's, for the same batches."""
    return {name: results["baseline"].cycles / result.cycles for name, result in results.items()
            } if "baseline" in results else {}


def as_json(results: dict[str, DesignResult]) -> dict:
    """The machine-readable report."""
    return {
        "designs": {name: {
            "configuration": {"rows": result.config.rows, "columns": result.config.columns,
                              "bus_bits": result.config.bus_bits},
            "batches": [{"phase": batch.phase.name.lower(), "cycles": batch.cycles, "bit_exact": batch.bit_exact,
                         "loss": batch.loss} for batch in result.batches],
            "utilisation": {key: result.utilisation(which) for key, which in PASSES.items()},
            "pass_cycles": {which.name.lower(): cycles for which, cycles in result.pass_cycles.items()},
            "phase_cycles": {phase.name.lower(): cycles for phase, cycles in result.phase_cycles.items()},
            "busy_cycles": {engine.name.lower(): cycles for engine, cycles in result.busy.items()},
            "bytes": {"read": result.bytes_read, "written": result.bytes_written,
                      "instructions": result.bytes_fetched},
            "accuracy": {"before": result.accuracy_before, "after": result.accuracy_after},
        } for name, result in results.items()},
        "speedup": speedups(results),
    }


def table(results: dict[str, DesignResult]) -> str:
    """Rows of facts, a column per design."""
    ratios = speedups(results)

    def cycles(result, phase):
        mean = result.mean_cycles(phase)
        return "–" if mean is None else f"{mean:,.0f}"

    rows = [("array", lambda name, r: f"{r.config.rows}×{r.config.columns}"),
            ("batches, all bit-exact", lambda name, r: f"{sum(b.bit_exact for b in r.batches)} of {len(r.batches)}"),
            ("cycles of the run", lambda name, r: f"{r.cycles:,}"),
            *((f"cycles per {phase.name.lower()} batch", lambda name, r, phase=phase: cycles(r, phase))
              for phase in (Phase.WARMUP, Phase.BP, Phase.GP)),
            *((f"cycles in {which.name.lower().replace('_', ' ')}",
               lambda name, r, which=which: f"{r.pass_cycles[which]:,}") for which in Pass),
            *((f"utilisation {key.replace('_', ' ')}", lambda name, r, which=which: f"{r.utilisation(which):.3f}")
              for key, which in PASSES.items()),
            ("speed-up over baseline", lambda name, r: f"{ratios[name]:.3f}" if name in ratios else "–"),
            ("loss, first and last batch", lambda name, r: f"{r.batches[0].loss:.3f}  {r.batches[-1].loss:.3f}"),
            ("accuracy before and after", lambda name, r: f"{r.accuracy_before:.3f}  {r.accuracy_after:.3f}"),
            ("bytes read", lambda name, r: f"{r.bytes_read:,}"),
            ("bytes written", lambda name, r: f"{r.bytes_written:,}"),
            ("bytes of instructions", lambda name, r: f"{r.bytes_fetched:,}")]
    cells = [["", *results]] + [[title, *(fact(name, r) for name, r in results.items())] for title, fact in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                       for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells]
    return "\n".join([lines[0], "─" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def picture(results: dict[str, DesignResult], path: Path) -> None:
    """Cycles per batch and phase, loss, cycles per pass, accuracy and bytes of all designs."""
    import matplotlib  # slow to import, and only needed here
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 8), constrained_layout=True)
    _draw_batches(axes[0, 0], results)
    _draw_losses(axes[0, 1], results)
    _draw_passes(axes[1, 0], results)
    _draw_totals(axes[1, 1], results)
    config = next(iter(results.values())).config
    figure.suptitle(f"Training on the simulated {config.rows}×{config.columns} machine, "
                    f"every batch bit-exact to PyTorch")
    replace_file(path, lambda partial: figure.savefig(partial, dpi=120))
    pyplot.close(figure)


def _draw_batches(axes, results) -> None:
    for (name, result), marker in zip(results.items(), "os^D"):
        for phase, colour in _PHASE_COLOURS.items():
            points = [(number, batch.cycles) for number, batch in enumerate(result.batches) if batch.phase is phase]
            if points:
                label = f"{name}, {phase.name.lower()}"
                axes.scatter(*zip(*points), color=colour, marker=marker, s=14, label=label)
    most = max(batch.cycles for result in results.values() for batch in result.batches)
    axes.set(title="Cycles of each batch", xlabel="batch", ylabel="cycles", ylim=(0, 1.3 * most))
    axes.legend(loc="upper center", ncols=len(results) + 1, fontsize=8)


def _draw_losses(axes, results) -> None:
    for name, result in results.items():
        axes.plot([batch.loss for batch in result.batches], label=name, linewidth=1.2)
    most = max(batch.loss for result in results.values() for batch in result.batches)
    axes.set(title="Loss before each update", xlabel="batch", ylabel="cross-entropy", ylim=(0, 1.1 * most))
    axes.legend()


def _draw_passes(axes, results) -> None:
    left = [0.0] * len(results)
    for which in Pass:
        widths = [result.pass_cycles[which] / len(result.batches) for result in results.values()]
        key = which.name.lower()
        bars = axes.barh(list(results), widths, left=left, color=_COLOURS[key], label=key.replace("_", " "))
        for bar, result, width in zip(bars, results.values(), widths):
            if which is not Pass.PREDICTOR and width > 0.08 * sum(result.pass_cycles.values()) / len(result.batches):
                axes.text(bar.get_x() + width / 2, bar.get_y() + bar.get_height() / 2,
                          f"{result.utilisation(which):.2f}", ha="center", va="center", color="white")
        left = [start + width for start, width in zip(left, widths)]
    axes.set(title="Cycles per batch by pass, with array utilisation", xlabel="mean cycles per batch")
    axes.margins(x=0.02, y=0.25)
    axes.legend(fontsize=8, ncols=4, loc="upper center")


def _draw_totals(axes, results) -> None:
    names, ratios = list(results), speedups(results)
    groups = {"accuracy after": [results[name].accuracy_after for name in names],
              "speed-up": [ratios.get(name, 0.0) for name in names],
              "bytes moved ÷ first": [
                  (results[name].bytes_read + results[name].bytes_written)
                  / (results[names[0]].bytes_read + results[names[0]].bytes_written) for name in names]}
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        bars = axes.bar([position + index * width for position in range(len(groups))],
                        [values[index] for values in groups.values()], width, label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks([position + width * (len(names) - 1) / 2 for position in range(len(groups))], list(groups))
    axes.margins(y=0.2)
    axes.set(title="The whole run", ylim=(0, None))
    axes.legend(loc="upper center", ncols=len(names))


def write(results: dict[str, DesignResult], folder: Path) -> str:
    """Leaves ``report.json``, ``table.txt`` and ``training.png`` in ``folder``, and of recorded batches
    ``timeline.png`` and a trace per design and phase; returns the table."""
    text = table(results)
    replace_file(folder / "report.json", lambda path: path.write_text(json.dumps(as_json(results), indent=1) + "\n"))
    replace_file(folder / "table.txt", lambda path: path.write_text(text + "\n"))
    picture(results, folder / "training.png")
    recorded = {name: (result.config, result.recorded) for name, result in results.items() if result.recorded}
    for name, (config, batches) in recorded.items():
        timeline.write(name, config, batches, folder)
    if recorded:
        timeline_picture.picture(recorded, folder / "timeline.png")
    return text
