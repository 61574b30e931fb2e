"""Which parts of the designs the area goes to, as a picture."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from adagp.files import replace_file

from .results import ModuleArea

ELEMENTS = "processing elements"
OTHER = "everything else"

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#994455", "#bbbbbb")
_TITLES = {"vector": "vector memory", "stream": "operand memories", "functions": "vector functions", "array engine": "rest of the array",
           "predictor engine": "rest of the predictor's array"}
_ELEMENT = "processing_element"
_RESOURCES = {"lut": "LUTs", "ff": "registers", "ramb36": "RAMB36"}


def shares(modules: tuple[ModuleArea, ...], resource: str) -> Counter:
    """``resource`` by part: the processing elements, wherever they are, and the rest of each module that the top consists of."""
    known = {area.module: area for area in modules}

    def elements(name: str) -> float:
        if name.endswith(_ELEMENT):
            return known[name].total[resource]
        return sum(count * elements(child) for child, count in known[name].children.items())

    top = modules[0]
    result = Counter({ELEMENTS: elements(top.module), "top": top.own[resource]})
    for child, count in top.children.items():
        title = child.removeprefix(f"{top.module}_").replace("_", " ")
        result[_TITLES.get(title, title)] += count * (known[child].total[resource] - elements(child))
    return result


def picture(designs: Mapping[str, tuple[ModuleArea, ...]], path: Path) -> None:
    """A bar for each of ``designs`` and resource of 7-series, divided by part; parts of less than a fiftieth in every bar
    are put together."""
    import matplotlib  # slow to import, and only needed here
    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
             "axes.titleweight": "bold", "axes.titlesize": 11}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(len(_RESOURCES), 1, figsize=(11, 1.4 + len(_RESOURCES) * (0.7 + 0.36 * len(designs))), layout="constrained")
        bars = {resource: {name: shares(modules, resource) for name, modules in designs.items()} for resource in _RESOURCES}
        parts = _large(bars)
        colours = dict(zip(parts, _COLOURS)) | {OTHER: "#dddddd"}
        for axis, (resource, title) in zip(axes, _RESOURCES.items()):
            _draw(axis, {name: _gathered(each, parts) for name, each in bars[resource].items()}, colours)
            axis.set_title(title)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
        replace_file(path, lambda partial: figure.savefig(partial, dpi=120))
        pyplot.close(figure)


def _draw(axis, bars: Mapping[str, Counter], colours: Mapping[str, str]) -> None:
    left = Counter()
    for part, colour in colours.items():
        axis.barh(list(bars), [bar[part] for bar in bars.values()], left=[left[name] for name in bars], height=0.7, color=colour,
                  edgecolor="white", linewidth=0.6, label=part)
        for name, bar in bars.items():
            left[name] += bar[part]
    for place, name in enumerate(bars):
        axis.annotate(f"{left[name]:,}", (left[name], place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    axis.invert_yaxis()
    axis.margins(x=0.08)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _large(bars: Mapping[str, Mapping[str, Counter]]) -> list[str]:
    """Parts in the order of their largest share, the elements first, as many as there are colours."""
    largest = Counter()
    for by_design in bars.values():
        for bar in by_design.values():
            whole = sum(bar.values())
            for part, value in bar.items():
                largest[part] = max(largest[part], value / whole if whole else 0)
    large = [part for part, share in largest.most_common() if share >= 0.02 and part != ELEMENTS]
    return [ELEMENTS, *large][:len(_COLOURS)]


def _gathered(bar: Counter, parts: list[str]) -> Counter:
    result = Counter({part: bar[part] for part in parts})
    result[OTHER] = sum(bar.values()) - sum(result.values())
    return result
