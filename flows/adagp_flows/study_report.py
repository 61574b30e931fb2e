"""The study of predicted gradients as tables and as a picture of accuracy against time."""

from collections.abc import Collection, Iterable, Mapping
from math import hypot
from pathlib import Path

_BASE = "#222222"
_COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377")
_GREY = "#999999"


def table(points: list, methods: Mapping[str, object], schedules: Collection[str]) -> str:
    """Of one recipe: accuracy, time and batches of Phase BP, a row for each method, a column for each schedule; the
    same for back-propagation of fewer epochs; which predictors beat every control; where prediction stopped."""
    recipe = points[0].recipe
    plain = [point for point in points if point.method is None]
    whole = max(plain, key=lambda point: point.epochs)
    lines = [f"{recipe}: accuracy in %, mean ± deviation of {len(whole.outcomes)} seeds; time, that of back-propagation being "
             "1; batches of back-propagation", ""]
    width = max(map(len, [*methods, "back-propagation"])) + 2
    lines += [" " * width + "".join(f"{schedule:>28}" for schedule in schedules)]
    for name in methods:
        row = {point.schedule: point for point in points if point.method == name}
        lines.append(name.ljust(width) + "".join(
            f"{_cell(row[schedule], whole.time) if schedule in row else '–':>28}" for schedule in schedules))
    lines += ["", "back-propagation alone", *(
        f"{point.epochs} epochs".ljust(width) + f"{_cell(point, whole.time):>28}" for point in plain)]
    return "\n".join([*lines, "", *_comparisons(points, methods, schedules), *_stops(points)])


def _cell(point, whole: float) -> str:
    return f"{point.accuracy:.1f} ± {point.deviation:.1f}, {point.time / whole:.2f}, {point.bp:,.0f}"


def _comparisons(points: list, methods: Mapping[str, object], schedules: Iterable[str]) -> Iterable[str]:
    """By how many standard errors of the difference a predictor is ahead of the best control."""
    for schedule in schedules:
        some = [point for point in points if point.schedule == schedule]
        controls = [point for point in some if methods[point.method].control]
        if not controls:
            continue
        best = max(controls, key=lambda point: point.accuracy)
        for point in some:
            if not methods[point.method].control:
                ahead = point.accuracy - best.accuracy
                error = hypot(point.error, best.error)
                least = min((point.accuracy - other.accuracy) / (hypot(point.error, other.error) or 1e-9) for other in controls)
                yield (f"{schedule}: {point.method} is {ahead:+.1f} points from the best control ({best.method}), standard error "
                       f"{error:.1f}; from every control at least {least:+.1f} standard errors")


def _stops(points: list) -> Iterable[str]:
    for point in points:
        if point.schedule == "adaptive":
            stopped = [outcome for outcome in point.outcomes if outcome.gp == 0]
            yield f"adaptive, {point.method}: predicts in {len(point.outcomes) - len(stopped)} of {len(point.outcomes)} runs" + (
                f"; {stopped[0].notices[-1]}" if stopped and stopped[0].notices else "")


def picture(points: list, recipes: list[str], methods: Mapping[str, object], path: Path) -> None:
    """Accuracy over time, a panel for each recipe: back-propagation of fewer epochs as a line, with a band of one
    standard error, every other point above which is worth its time."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(6 * len(recipes), 5.2), layout="constrained")
    for axes, recipe in zip(figure.subplots(1, len(recipes), squeeze=False)[0], recipes):
        some = [point for point in points if point.recipe == recipe]
        plain = sorted((point for point in some if point.method is None), key=lambda point: point.time)
        whole = plain[-1].time
        time, accuracy = [point.time / whole for point in plain], [point.accuracy for point in plain]
        axes.plot(time, accuracy, color=_BASE, linewidth=2, marker="o", markersize=4, label="back-propagation, fewer epochs")
        axes.fill_between(time, [point.accuracy - point.error for point in plain], [point.accuracy + point.error for point in plain],
                          color=_BASE, alpha=0.12, linewidth=0)
        predictors = [name for name, method in methods.items() if not method.control]
        for number, name in enumerate(methods):
            own = [point for point in some if point.method == name]
            colour = _COLOURS[predictors.index(name) % len(_COLOURS)] if name in predictors else _GREY
            marker = "o" if name in predictors else "xv+d"[(number - len(predictors)) % 4]
            axes.errorbar([point.time / whole for point in own], [point.accuracy for point in own],
                          yerr=[point.error for point in own], linestyle="none", marker=marker, markersize=6, color=colour,
                          capsize=2, linewidth=1, label=name if name in predictors else f"control: {name}")
            if name in predictors:
                for point in own:
                    axes.annotate(point.schedule, (point.time / whole, point.accuracy), textcoords="offset points",
                                  xytext=(5, 4), fontsize=7, color=colour)
        shown = sorted(point.accuracy for point in some if point.method in predictors)[1:] + accuracy
        axes.set(title=recipe, xlabel="time (multiply-accumulates), that of back-propagation being 1",
                 ylabel="accuracy on the test samples, %", xlim=(0.05, 1.08),
                 ylim=(min(shown) - 0.25 * (max(shown) - min(shown)), max(shown) + 0.15 * (max(shown) - min(shown))))
        axes.grid(color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=9, frameon=False)
    figure.savefig(path, format="png", dpi=130)
