"""Pipelines as the paper draws them (figures 10 to 12): devices as rows, time as columns."""

from collections.abc import Sequence
from pathlib import Path

from adagp.cost.pipelines import Event, Kind, Pipeline, Timeline, timeline
from adagp.files import replace_file
from adagp.spec.schedule import Phase

_FORWARD, _PREDICTED, _BACKWARD, _PREDICTION, _TRAINING, _UPDATE = (
    "#4477aa", "#44aa77", "#ee8866", "#882255", "#c8a2b6", "#222222")
_LIGHTER = 0.45             # towards white, of what goes up in a Chimera
_HEIGHT, _LANE = 0.9, 0.24  # of a device's row and, in it, of a predictor array's
_WIDEST, _INCHES = 15, 0.46  # of a picture, and of one of the paper's steps if they fit
_MARK, _NARROWEST = 0.005, 0.016  # of the longest timeline: a mark, an event that has its number in it
_MOST_TICKS = 60

PHASES = {"Phase BP": (Phase.BP,), "Phase GP": (Phase.GP,) * 3, "from Phase GP to Phase BP": (Phase.GP, Phase.BP)}
"""Panels of each of the paper's figures."""

FIGURES = {Pipeline.GPIPE: "figure10", Pipeline.DAPPLE: "figure11", Pipeline.CHIMERA: "figure12"}
_NAMES = {Pipeline.GPIPE: "GPipe", Pipeline.DAPPLE: "DAPPLE", Pipeline.CHIMERA: "Chimera"}


def figures(folder: Path, *, devices: int = 4, micro_batches: int = 4) -> list[Path]:
    """Draws the paper's figures 10, 11 and 12 as PNG and SVG; their paths."""
    paths = []
    for pipeline, name in FIGURES.items():
        panels = {title: timeline(pipeline, phases, devices=devices, micro_batches=micro_batches)
                  for title, phases in PHASES.items()}
        for suffix in (".png", ".svg"):
            paths.append(folder / f"{name}{suffix}")
            draw(panels, paths[-1])
    return paths


def draw(panels: dict[str, Timeline], path: Path, *, unit: str = "steps") -> None:
    """Timelines of one pipeline, below each other to the same scale; the suffix of ``path`` says in which format.

    Numbers are micro-batches, counted through all batches. Bars at the ends of events are updates of the
    stage's weights (and predictions, where these take no time); what a predictor array does is in a lane
    of its own. ``unit`` is that of the times.
    """
    import matplotlib  # slow to import, and only needed here
    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = list(panels.values())
    longest = max(run.steps for run in runs)
    rows = sum(run.devices for run in runs)
    figure, axes = pyplot.subplots(
        len(runs), 1, sharex=True, squeeze=False, layout="constrained", height_ratios=[run.devices + 0.4 for run in runs],
        figsize=(1.6 + min(_INCHES * longest, _WIDEST), 1.5 + _INCHES * rows + 0.35 * len(runs)))
    for letter, (title, run), one in zip("abcdefgh", panels.items(), axes.flat):
        _draw_timeline(one, run, longest)
        one.set_title(f"({letter}) {title}: {_number(run.steps)} {unit}", loc="left", fontsize=11, fontweight="bold")
    axes[-1, 0].set_xlabel(f"time in {unit}")
    _draw_legend(figure, runs)
    with pyplot.rc_context({"svg.fonttype": "none"}):
        replace_file(path, lambda partial: figure.savefig(partial, dpi=150))
    pyplot.close(figure)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _draw_timeline(axes, run: Timeline, longest: float) -> None:
    lane = _LANE if run.costs.predictor_array else 0
    for event in run.events:
        bottom = run.devices - 1 - event.device
        if event.micro_batch is not None:
            _draw_pass(axes, run, event, bottom + lane, _HEIGHT - lane, longest)
        elif event.end > event.start:
            axes.broken_barh([(event.start, event.end - event.start)], (bottom, lane or _HEIGHT), edgecolor="white",
                             linewidth=0.5, facecolor=_PREDICTION if event.kind is Kind.PREDICTION else _TRAINING)
    for device, time, colour in _updates(run):
        axes.broken_barh([(time - _MARK * longest, _MARK * longest)],
                         (run.devices - 1 - device + lane, _HEIGHT - lane), facecolor=colour)
    axes.set(xlim=(0, longest), ylim=(-0.1, run.devices), yticks=[run.devices - 1 - device + _HEIGHT / 2
                                                                  for device in range(run.devices)])
    axes.set_yticklabels([_label(run, device) for device in range(run.devices)])
    axes.tick_params(axis="y", length=0)
    if longest <= _MOST_TICKS:
        axes.set_xticks(range(0, int(longest) + 1, 5))
        axes.set_xticks(range(int(longest) + 1), minor=True)
        axes.grid(axis="x", which="both", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    else:
        axes.xaxis.set_major_formatter("{x:,.0f}")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _draw_pass(axes, run: Timeline, event: Event, bottom: float, height: float, longest: float) -> None:
    from matplotlib.colors import to_rgb

    predicted = run.phases[event.batch] is Phase.GP
    colour = _BACKWARD if event.kind is Kind.BACKWARD else _PREDICTED if predicted else _FORWARD
    goes_up = event.device != event.stage
    lighter = _LIGHTER if goes_up else 0
    length = event.end - event.start
    axes.broken_barh([(event.start, length)], (bottom, height), edgecolor="white", linewidth=0.8,
                     facecolor=tuple(part + (1 - part) * lighter for part in to_rgb(colour)))
    if length >= _NARROWEST * longest:
        axes.text(event.start + length / 2, bottom + height / 2, str(run.micro_batches * event.batch + event.micro_batch),
                  ha="center", va="center_baseline", fontsize=10, color="black" if goes_up else "white")


def _updates(run: Timeline) -> list[tuple[int, float, str]]:
    """Device, time and colour of every update of a replica's weights that no event of its own shows."""
    last: dict[tuple[int, int], float] = {}
    for event in run.events:
        if event.kind is Kind.BACKWARD:
            place = event.batch, event.stage
            last[place] = max(last.get(place, 0), event.end)
    true = [(device, time, _UPDATE) for (_, stage), time in last.items()
            for device in run.pipeline.hosts(stage, run.devices)]
    return true + [(event.device, event.end, _PREDICTION) for event in run.events
                   if event.kind is Kind.PREDICTION and event.start == event.end]


def _label(run: Timeline, device: int) -> str:
    if run.pipeline is not Pipeline.CHIMERA:
        return f"device {device}"
    return f"device {device}\nstages {device}↓ {run.devices - 1 - device}↑"


def _draw_legend(figure, runs: Sequence[Timeline]) -> None:
    from matplotlib.patches import Patch

    first, phases = runs[0], {phase for run in runs for phase in run.phases}
    parts = []
    if phases - {Phase.GP}:
        parts += [(_FORWARD, "forward, Phase BP"), (_BACKWARD, "backward"), (_UPDATE, "update from true gradients")]
        if any(stage.training for stage in first.costs.stages):
            parts += [(_TRAINING, "training of the predictor")]
    if Phase.GP in phases:
        parts += [(_PREDICTED, "forward, Phase GP"), (_PREDICTION, "prediction and update")]
    handles = [Patch(facecolor=colour, label=label) for colour, label in parts]
    title = f"{_NAMES[first.pipeline]}, {first.devices} devices, {first.micro_batches} micro-batches"
    if first.pipeline is Pipeline.CHIMERA:
        title += "; paler ones go up"
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=9, frameon=False, title=title,
                  title_fontsize=12)
