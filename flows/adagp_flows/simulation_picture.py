"""Simulated training runs as a picture: accuracy against cycles, and where the cycles go."""

from pathlib import Path

from adagp.files import replace_file
from adagp.spec.schedule import Phase

from .run_result import RunResult, baseline_of, curve, speedup

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#777777")
_BASELINE = "#222222"
_PHASES = {Phase.BP: "Phase BP", Phase.GP: "Phase GP"}
_PHASE_COLOURS = {Phase.BP: "#4477aa", Phase.GP: "#ee6677"}
_GREY = "#666666"


def picture(results: dict[str, RunResult], path: Path) -> None:
    """Accuracy on the test samples against cycles of training, for all runs; cycles of a batch by
    phase; where k was adapted, k over the batches."""
    import matplotlib  # slow to import, and only needed here
    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
             "axes.titleweight": "bold", "axes.titlesize": 11, "axes.titlepad": 10}
    adapted = {name: result for name, result in results.items() if result.gp}
    with pyplot.rc_context(style):
        figure = pyplot.figure(figsize=(13, 6.6), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1), height_ratios=(3, 1)) if adapted else \
            figure.add_gridspec(1, 2, width_ratios=(1.5, 1))
        colours = dict(zip(results, _run_colours(results)))
        _draw_curves(figure.add_subplot(grid[:, 0]), results, colours)
        _draw_batches(figure.add_subplot(grid[0, 1]), results)
        if adapted:
            _draw_k(figure.add_subplot(grid[1, 1]), adapted, colours)
        config = next(iter(results.values())).config
        figure.suptitle(f"Training on the simulated {config.rows}×{config.columns} machine, every bit as in PyTorch",
                        fontsize=14)
        replace_file(path, lambda partial: figure.savefig(partial, dpi=120))
        pyplot.close(figure)


def _run_colours(results: dict[str, RunResult]) -> list[str]:
    others = iter(_COLOURS * len(results))
    return [_BASELINE if result.predictor is None else next(others) for result in results.values()]


def _draw_curves(axes, results: dict[str, RunResult], colours: dict[str, str]) -> None:
    baseline = baseline_of(results)
    for name, result in results.items():
        cycles, accuracy = curve(result)
        ratio = speedup(result, baseline)
        label = name if ratio is None or result is baseline else f"{name}: {ratio:.2f} times as fast"
        axes.plot([count / 1e6 for count in cycles], [100 * share for share in accuracy], color=colours[name],
                  label=f"{label}, {100 * result.accuracy:.1f} %", marker="o", markersize=4,
                  linewidth=2 if result is baseline else 1.4, zorder=2 if result is baseline else 3)
        axes.plot(cycles[-1] / 1e6, 100 * accuracy[-1], "o", color=colours[name], markersize=9, markeredgecolor="white",
                  zorder=4)
    reached = [share for result in results.values() for share in curve(result)[1][1:]]
    if min(reached) > 0.5:  # what is before the first doorbell would press all else together
        axes.set_ylim(100 * (min(reached) - 0.02), min(100 * max(reached) + 1, 100))
    axes.set(title="Accuracy on the test samples", xlabel="million cycles of training", ylabel="correct, %",
             xlim=(0, None))
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", frameon=False, title="run, its speed and final accuracy", alignment="left")


def _draw_batches(axes, results: dict[str, RunResult]) -> None:
    rows = [(name, phase, result.mean_cycles(phase)) for name, result in results.items() for phase in _PHASES
            if result.mean_cycles(phase)]
    most = max(cycles for _, _, cycles in rows)
    baseline = baseline_of(results)
    whole = baseline.mean_cycles(Phase.BP) if baseline else None
    names = list(dict.fromkeys(name for name, _, _ in rows))
    for name, phase, cycles in rows:
        single = sum(row[0] == name for row in rows) == 1
        place = names.index(name) + (0 if single else 0.2 if phase is Phase.GP else -0.2)
        axes.barh(place, cycles, 0.36, color=_PHASE_COLOURS[phase])
        share = f"  {cycles:,.0f}" + (f"  ({cycles / whole:.2f})" if whole and results[name] is not baseline else "")
        axes.text(cycles, place, share, va="center", fontsize=8.5, color=_GREY)
    if whole:
        axes.axvline(whole, color=_BASELINE, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(title="Cycles of a batch" + (" (÷ baseline)" if whole else ""), xlim=(0, 1.32 * most))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=6)
    axes.tick_params(axis="y", length=0)
    from matplotlib.patches import Patch
    axes.legend(handles=[Patch(color=_PHASE_COLOURS[phase], label=text) for phase, text in _PHASES.items()],
                loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0, handlelength=0.8, handletextpad=0.4,
                columnspacing=0.8, fontsize=9, frameon=False)


def _draw_k(axes, adapted: dict[str, RunResult], colours: dict[str, str]) -> None:
    for name, result in adapted.items():
        batches, k = zip(*result.gp, (result.epochs * result.epoch, result.gp[-1][1]))
        axes.step(batches, k, where="post", color=colours[name], label=name)
    axes.set(title="k, chosen by the machine", xlabel="batch", ylabel="k", xlim=(0, None), ylim=(0, None))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, loc="lower right")
