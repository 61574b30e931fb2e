"""Recorded batches as one picture: what the engines of each design work for, and how they overlap."""

from pathlib import Path

import numpy as np

from adagp.compiler import Purpose
from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine

from .timeline import RecordedBatch, macs_per_cycle, share

_PREDICTOR_WORK = ("predict", "train predictor")
_LIGHTER = {"forward": 0.0, "input gradient": 0.3, "weight gradient": 0.5, "update": 0.7}  # towards white
_COLOURS = ("#4477aa", "#ee8866", "#228833", "#ccbb44", "#aa3377", "#66ccee", "#994455", "#44bb99", "#997700",
            "#6699cc")
_WAITS, _MACS = "#e4e4e4", "#222222"
_WINDOWS = 1000  # along the longest batch
_HEIGHT = 0.84    # of an engine that works all the time


def picture(recorded: dict[str, tuple[AcceleratorConfig, list[RecordedBatch]]], path: Path) -> None:
    """The first batch of each phase of each design, to the same scale.

    A row per engine. Its height is the share of a window of some cycles in which the engine works;
    colours are layers, shades what is done for them, hatching is work of the predictor. Grey is
    waiting for other engines, white is having nothing in the queue.
    """
    import matplotlib  # slow to import, and only needed here
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [(design, config, batch) for design, (config, batches) in recorded.items()
              for batch in {batch.phase: batch for batch in reversed(batches)}.values()]
    panels.sort(key=lambda panel: (list(recorded).index(panel[0]), panel[2].phase))
    longest = max(batch.timeline.cycles for _, _, batch in panels)
    purposes = list(dict.fromkeys(purpose for _, _, batch in panels for purpose in batch.purposes))
    layers = list(dict.fromkeys(purpose.layer for purpose in purposes))
    colours = dict(zip(layers, _COLOURS if len(layers) <= len(_COLOURS) else
                       matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, len(layers)))))

    rows = sum(len(batch.timeline.engines) for _, _, batch in panels)
    figure, axes = pyplot.subplots(len(panels), 1, sharex=True, squeeze=False, layout="constrained",
                                   figsize=(15, 1.2 + 0.36 * rows + 0.5 * len(panels)),
                                   height_ratios=[len(batch.timeline.engines) for _, _, batch in panels])
    with pyplot.rc_context({"hatch.linewidth": 0.7}):
        for one, (design, config, batch) in zip(axes.flat, panels):
            _draw_batch(one, batch, config, longest, colours)
            one.set_title(f"{design}, Phase {batch.phase.name}: {batch.timeline.cycles:,} cycles", loc="left",
                          fontsize=11, fontweight="bold")
        axes[-1, 0].set(xlim=(0, 1.001 * longest), xlabel="cycles from the beginning of the batch; "
                        "percentages are cycles in which the engine holds an instruction")
        axes[-1, 0].xaxis.set_major_formatter("{x:,.0f}")
        config = panels[0][1]
        _draw_legends(figure, f"What the engines of the {config.rows}×{config.columns} machine work for, in one batch",
                      colours, dict.fromkeys(purpose.work for purpose in purposes))
        replace_file(path, lambda partial: figure.savefig(partial, dpi=120))
    pyplot.close(figure)


def _style(purpose: Purpose, colour: str) -> dict:
    from matplotlib.colors import to_rgb

    if purpose.work in _PREDICTOR_WORK:
        return {"facecolor": colour, "edgecolor": "white", "linewidth": 0,
                "hatch": "////" if purpose.work == "predict" else "xxxx"}
    lighter = _LIGHTER.get(purpose.work, 0.0)
    return {"facecolor": tuple(part + (1 - part) * lighter for part in to_rgb(colour)), "linewidth": 0}


def _draw_batch(axes, batch: RecordedBatch, config: AcceleratorConfig, longest: int, colours: dict[str, str]) -> None:
    cycles = batch.timeline.cycles
    starts = np.arange(0, cycles, longest / _WINDOWS)
    edges = np.append(starts[starts < cycles], cycles)  # rounding may have put one at the end
    engines = list(batch.timeline.engines)
    for row, engine in enumerate(engines):
        activity = batch.timeline.engines[engine]
        base = top = np.full(len(edges) - 1, len(engines) - 1 - row, float)
        parts = [(_style(purpose, colours[purpose.layer]), part)
                 for purpose, part in batch.covered(engine, edges).items()]
        for style, part in [*parts, ({"facecolor": _WAITS, "linewidth": 0}, share(activity.waits, edges))]:
            lower, top = top, top + _HEIGHT * part
            axes.stairs(np.where(part > 1e-9, top, np.nan), edges, baseline=lower, fill=True, **style)
        if len(activity.macs):
            shape = config.predictor_array if engine is Engine.PREDICTOR else config.array
            used = macs_per_cycle(activity, edges) / (shape.rows * shape.columns)
            axes.stairs(base + _HEIGHT * used, edges, baseline=None, color=_MACS, linewidth=0.8)
    axes.axvline(cycles, color="#888888", linewidth=0.8)
    axes.set(ylim=(-0.08, len(engines)), yticks=[len(engines) - 1 - row + _HEIGHT / 2 for row in range(len(engines))])
    axes.set_yticklabels([f"{engine.name.lower()}  {batch.timeline.engines[engine].busy / cycles:4.0%}"
                          for engine in engines])
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _draw_legends(figure, title: str, colours: dict[str, str], works) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    layers = [Patch(facecolor=colour, label=layer) for layer, colour in colours.items()]
    shades = [Patch(**_style(Purpose("", work), "#555555"), label=work)
              for work in works if work in _LIGHTER or work in _PREDICTOR_WORK]
    shades += [Patch(facecolor=_WAITS, label="waits for other engines"),
               Patch(facecolor="white", edgecolor="#aaaaaa", label="nothing in its queue"),
               Line2D([], [], color=_MACS, linewidth=0.9, label="multiply-accumulates ÷ the most possible")]
    for handles, place, heading in ((layers, "upper", title), (shades, "lower", None)):
        figure.legend(handles=handles, loc=f"outside {place} center", ncols=min(len(handles), 10), fontsize=9,
                      frameon=False, title=heading, title_fontsize=13)
