"""The paper's figures, with its axes, from what was computed."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean, geometric_mean

from adagp.cost.grid import DESIGNS
from adagp.cost.hardware import PAPER
from adagp.cost.pipelines import Pipeline
from adagp.files import replace_file

from . import pipeline_picture
from .paper_evaluation import BATCH, IMAGES, PaperEvaluation
from .paper_published import DATAFLOW_TITLES, DATASET_TITLES, DESIGN_TITLES, PIPELINE_TITLES, PUBLISHED, TITLES
from .paper_reasons import Comparison
from .paper_tables import run_batches

COLOURS = {"BASELINE": "#bbbbbb", "LOW": "#ddaa33", "EFFICIENT": "#4477aa", "MAX": "#aa3377"}
_PHASE_COLOURS = {"warmup": "#ddaa33", "bp": "#4477aa", "gp": "#66ccaa"}
_PHASE_TITLES = {"warmup": "ADA-GP: warm-up", "bp": "ADA-GP: Phase BP", "gp": "ADA-GP: Phase GP"}
_AGREES, _DIFFERS = ("#228833", "o"), (COLOURS["MAX"], "D")
_INK, _LINE = "#222222", "#555555"
_STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
          "axes.titleweight": "bold", "axes.titlesize": 11, "axes.axisbelow": True, "svg.fonttype": "path",
          "hatch.linewidth": 0.6}
_LINES = {"mean": ("--", "average", -5), "maximum": (":", "maximum", 3)}
"""What the paper tells of its bars, and how far from the line that is said, in points."""
_SPEEDUP_FIGURES = {"figure17": "WS", "figure18": "RS", "figure19": "IS", "output-stationary": "OS"}


def draw(evaluation: PaperEvaluation, comparisons: Sequence[Comparison], folder: Path,
         progress: Callable[[str], None]) -> None:
    """All pictures, as PNG and SVG."""
    import matplotlib  # slow to import, and only needed here
    matplotlib.use("Agg")

    progress("pictures of the pipelines")
    pipeline_picture.figures(folder)
    progress("pictures of speed-ups")
    for name, flow in _SPEEDUP_FIGURES.items():
        _draw_speedups(evaluation, flow, folder / name)
    _draw_pipelines(evaluation, folder / "figure20")
    progress("pictures of layers, energy and all claims")
    _draw_layers(evaluation, folder / "figure16")
    _draw_energy(evaluation, folder / "figure21")
    _draw_claims(comparisons, folder / "claims")


@contextmanager
def _figure(path: Path, rows: int, columns: int, size: tuple[float, float], **more):
    """A figure and its axes, row by row; written as PNG and SVG at the end."""
    from matplotlib import pyplot

    with pyplot.rc_context(_STYLE):
        figure, axes = pyplot.subplots(rows, columns, squeeze=False, figsize=size, layout="constrained", **more)
        yield figure, list(axes.flat)
        for suffix in (".png", ".svg"):
            replace_file(path.with_suffix(suffix), lambda partial: figure.savefig(partial, dpi=110))
        pyplot.close(figure)


def _draw_speedups(evaluation: PaperEvaluation, flow: str, path: Path) -> None:
    with _figure(path, len(IMAGES), 1, (12, 10.5), sharex=True) as (figure, axes):
        for letter, dataset, one in zip("abc", IMAGES, axes):
            bars = {design.name: evaluation.grid.speedups(dataset, flow, design.name) for design in DESIGNS}
            _draw_bars(one, bars, f"speedup/{dataset}/{flow}")
            one.set_title(f"({letter}) {DATASET_TITLES[dataset]}")
        _finish_bars(figure, axes, f"Speed-up over back-propagation, {DATAFLOW_TITLES[flow]}, {PAPER.array} elements, "
                     f"batches of {BATCH}", f"Baseline-{flow}")


def _draw_pipelines(evaluation: PaperEvaluation, path: Path) -> None:
    with _figure(path, len(Pipeline), 1, (12, 10.5), sharex=True) as (figure, axes):
        for letter, pipeline, one in zip("abc", Pipeline, axes):
            _draw_bars(one, {design.name: evaluation.pipeline_speedups(pipeline, design) for design in DESIGNS},
                       f"pipeline/{pipeline.value}")
            one.set_title(f"({letter}) over {PIPELINE_TITLES[pipeline.value]}")
        _finish_bars(figure, axes, "Speed-up over pipelines of four devices, ImageNet, a batch of each phase", "Baseline")


def _draw_bars(axes, bars: dict[str, dict[str, float]], key: str) -> None:
    """Speed-ups by design and network, baseline before and geometric mean behind, with what the paper says of ``key``."""
    networks = list(next(iter(bars.values())))
    groups = {design: [*own.values(), geometric_mean(own.values())] for design, own in bars.items()}
    groups = {"BASELINE": [1.0] * (len(networks) + 1)} | groups
    width = 0.84 / len(groups)
    for number, (design, heights) in enumerate(groups.items()):
        places = [place - 0.42 + (number + 0.5) * width for place in range(len(heights))]
        axes.bar(places, heights, width * 0.94, color=COLOURS[design], label=DESIGN_TITLES[design])
    lines = {kind: claim.value for kind in _LINES for claim in PUBLISHED if claim.key == f"{key}/{kind}"}
    for kind, value in lines.items():
        style, title, shift = _LINES[kind]
        axes.axhline(value, color=_INK, linewidth=0.9, linestyle=style)
        axes.annotate(f"paper's {title} {value:g}", (1, value), xycoords=("axes fraction", "data"), xytext=(4, shift),
                      textcoords="offset points", fontsize=8.5, color=_INK, annotation_clip=False, va="center")
    for place, height in enumerate(groups["MAX"]):
        axes.text(place + 0.44, max(height, *lines.values(), 0) + 0.03, f"{height:.3f}", ha="right", va="bottom", fontsize=8.5,
                  color=COLOURS["MAX"])
    axes.axvline(len(networks) - 0.5, color=_LINE, linewidth=0.8)
    axes.set(ylim=(0, 2), xlim=(-0.6, len(networks) + 0.6), ylabel="speed-up", yticks=(0, 0.5, 1, 1.5, 2))
    axes.set_xticks(range(len(networks) + 1), [*(TITLES[network] for network in networks), "geomean"], rotation=30, ha="right",
                    rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)


def _finish_bars(figure, axes: Sequence, title: str, baseline: str) -> None:
    handles, labels = axes[0].get_legend_handles_labels()
    figure.suptitle(title, fontsize=13, fontweight="bold")
    figure.legend(handles, [baseline, *labels[1:]], loc="outside lower center", ncols=len(labels), frameon=False)


def _draw_layers(evaluation: PaperEvaluation, path: Path) -> None:
    with _figure(path, 1, 1, (12, 5)) as (_, (axes,)):
        places = range(len(evaluation.layers))
        axes.bar([place - 0.2 for place in places], [layer.baseline / 1e9 for layer in evaluation.layers], 0.38,
                 color=COLOURS["BASELINE"], label="Baseline")
        bottom = [0.0] * len(evaluation.layers)
        for phase, colour in _PHASE_COLOURS.items():
            heights = [getattr(layer, phase) / 1e9 for layer in evaluation.layers]
            axes.bar([place + 0.2 for place in places], heights, 0.38, bottom=bottom, color=colour, label=_PHASE_TITLES[phase])
            bottom = [below + height for below, height in zip(bottom, heights)]
        for place, layer, height in zip(places, evaluation.layers, bottom):
            axes.text(place + 0.02, height, f" {layer.baseline / 1e9 / height:.2f}×", ha="left", va="bottom", fontsize=8.5,
                      color=_INK)
        axes.set(ylabel="cycles × 10⁹", title="VGG13 on ImageNet, 90 epochs, weight stationary: baseline and ADA-GP-Efficient",
                 xlim=(-0.6, len(evaluation.layers) - 0.4))
        axes.set_xticks(list(places), [f"layer {place + 1}\n{layer.name}" for place, layer in zip(places, evaluation.layers)],
                        rotation=30, ha="right", rotation_mode="anchor", fontsize=8.5)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.legend(frameon=False)


def _draw_energy(evaluation: PaperEvaluation, path: Path) -> None:
    names = list(evaluation.energies)
    with _figure(path, len(names) // 2 + 1, 2, (14, 15)) as (figure, axes):
        for name, one in zip(names, axes):
            _draw_energies(one, evaluation.energies[name])
            one.set_title(f"{name}{': memory alone' if name.startswith('cacti') else ''}")
        _draw_savings(evaluation, axes[len(names)])
        figure.suptitle("Energy of 90 epochs of ImageNet, weight stationary", fontsize=13, fontweight="bold")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)


def _draw_energies(axes, networks: dict[str, dict[str, dict]]) -> None:
    designs, width = ("BASELINE", "EFFICIENT", "MAX"), 0.28
    unit = networks[next(iter(networks))]["BASELINE"]["unit"]
    scale, label = (1e6, "energy, 10⁶ J") if unit == "J" else (1e18, "10¹⁸ MAC energies")
    for number, design in enumerate(designs):
        spent = {part: [own[design][part] for own in networks.values()] for part in ("memory", "arithmetic")}
        parts = {part: [each * run_batches() / scale for each in (*values, geometric_mean(values))]
                 for part, values in spent.items() if None not in values}
        places = [place + (number - 1) * width for place in range(len(parts["memory"]))]
        axes.bar(places, parts["memory"], width * 0.92, color=COLOURS[design], label=f"{DESIGN_TITLES[design]}, memory")
        if "arithmetic" in parts:
            axes.bar(places, parts["arithmetic"], width * 0.92, bottom=parts["memory"], facecolor="white",
                     edgecolor=COLOURS[design], hatch="//////", linewidth=0.6,
                     label="arithmetic" if design == "BASELINE" else None)
    axes.axvline(len(networks) - 0.5, color=_LINE, linewidth=0.8)
    axes.set(ylabel=label, xlim=(-0.6, len(networks) + 0.6), ylim=(0, None))
    axes.set_xticks(range(len(networks) + 1), [*(TITLES[network] for network in networks), "geomean"], rotation=35, ha="right",
                    rotation_mode="anchor", fontsize=8.5)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)


def _draw_savings(evaluation: PaperEvaluation, axes) -> None:
    """Of memory energy, mean over networks, by table."""
    for number, design in enumerate(("EFFICIENT", "MAX")):
        savings = [100 * fmean(evaluation.energy_savings(table, design).values()) for table in evaluation.energies]
        places = [place + (number - 0.5) * 0.36 for place in range(len(savings))]
        axes.barh(places, savings, 0.34, color=COLOURS[design])
        for place, saving in zip(places, savings):
            axes.text(saving, place, f"{saving:.1f} ", ha="right", va="center", fontsize=8.5, color="white")
    paper = next(claim.value for claim in PUBLISHED if claim.key == "energy/mean")
    axes.axvline(paper, color=_INK, linewidth=0.9, linestyle="--")
    axes.text(paper, -0.75, f"paper's average {paper} ", ha="right", va="center", fontsize=8.5)
    axes.set(title="Memory energy saved, mean over networks", xlabel="%", ylim=(len(evaluation.energies) - 0.4, -1))
    axes.set_yticks(range(len(evaluation.energies)), list(evaluation.energies))
    axes.tick_params(axis="y", length=0)


def _draw_claims(comparisons: Sequence[Comparison], path: Path) -> None:
    """Ours over the paper's, a row for each number."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FixedLocator, NullLocator

    rows = [each for each in comparisons if each.published.unit != "cycles"]
    with _figure(path, 1, 1, (11, 0.27 * len(rows) + 1.6)) as (figure, (axes,)):
        for place, each in enumerate(rows):
            ratio = each.ours / each.published.value
            colour, marker = _AGREES if each.agrees else _DIFFERS
            axes.plot([1, ratio], [place, place], color=colour, linewidth=1.2)
            axes.plot(ratio, place, marker, color=colour, markersize=6)
            ours, paper = told(each)
            axes.annotate(f"{ours} (paper {paper})", (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0),
                          textcoords="offset points", fontsize=8.5, va="center", annotation_clip=False)
        axes.axvline(1, color=_INK, linewidth=0.9)
        axes.set(xlabel="ours ÷ the paper's", ylim=(len(rows) - 0.4, -0.6), xscale="log")
        axes.xaxis.set(major_locator=FixedLocator((0.9, 1, 1.1, 1.25, 1.5, 2, 2.5)), minor_locator=NullLocator(),
                       major_formatter="{x:g}")
        axes.set_yticks(range(len(rows)), [f"{each.published.section}  {each.published.what}" for each in rows], fontsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
        figure.suptitle("The numbers of the paper's evaluation, cycles apart", fontsize=13, fontweight="bold")
        handles = [Line2D([], [], color=colour, marker=marker, label=label) for (colour, marker), label in (
            (_AGREES, "agrees to the printed digits"), (_DIFFERS, "differs"))]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)


def told(comparison: Comparison) -> tuple[str, str]:
    """Ours, with a digit more than the paper prints, and the paper's."""
    published = comparison.published
    if published.unit == "cycles":
        return f"{comparison.ours:.4e}", f"{published.value:.4e}"
    digits = len(f"{published.step:g}".partition(".")[2])
    ours = digits if published.step == 1 and not published.unit else max(digits, 1 if published.unit else 3)
    unit = f" {published.unit}" if published.unit else ""
    return f"{comparison.ours:.{ours}f}{unit}", f"{published.value:.{digits}f}{unit}"
