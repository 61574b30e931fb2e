"""``report.json`` of all that was synthesised, and tables of it beside the paper's."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from adagp.files import replace_file
from adagp.spec.config import Design

from ..paper_published import ASIC, FPGA
from . import xc7
from .results import Result

REPORT, TABLES = "report.json", "tables.md"

_FPGA_FIELDS = ("lut", "ff", "ramb36", "ramb18", "dsp", "power_w")
_TITLES = {"lut": "LUT", "ff": "FF", "ramb36": "RAMB36", "ramb18": "RAMB18", "dsp": "DSP", "bram": "block RAM", "spram": "SPRAM",
           "estimate_mhz": "MHz, estimated", "fmax_mhz": "MHz", "power_w": "W", "area_um2": "area µm²", "slack_ns": "slack ns", "clock_ns": "clock ns",
           "memory_bits": "memory bits"}
_FAMILIES = {"xc7": "7-series FPGA, Yosys, before placement", "vivado": "7-series FPGA, Vivado, placed and routed",
             "ecp5": "ECP5, placed and routed", "ice40": "iCE40, placed and routed",
             "osu018": "osu018 standard cells (0.18 µm), before placement"}


def load(folder: Path) -> dict:
    """The report in ``folder``; an empty one if there is none. ValueError if it is not one."""
    path = folder / REPORT
    if not path.exists():
        return {"tools": {}, "designs": {}}
    report = json.loads(path.read_text())
    if set(report) != {"tools", "designs"}:
        raise ValueError(f"{path} must have tools and designs, not {', '.join(report)}")
    return report


def add(folder: Path, name: str, target: str, result: Result) -> dict:
    """Puts one result in the report in ``folder``, and leaves all others of it as they are."""
    report = load(folder)
    report["tools"].update(result.tools)
    report["designs"].setdefault(name, {})[target] = result.as_json()
    replace_file(folder / REPORT, lambda path: path.write_text(json.dumps(report, indent=1) + "\n"))
    return report


def text(report: Mapping) -> str:
    """All tables, as Markdown."""
    designs = report["designs"]
    found = [_with_paper("Table 4", designs, "xc7", dict(zip(_FPGA_FIELDS, range(len(_FPGA_FIELDS)))), FPGA, 1),
             _with_paper("Table 4 with Vivado", designs, "vivado", dict(zip(_FPGA_FIELDS, range(len(_FPGA_FIELDS)))), FPGA, 1),
             _with_paper("Table 5", designs, "osu018", {"area_um2": 0, "power_w": 1}, ASIC, 1e-6),
             *(_all(designs, target) for target in _FAMILIES)]
    return "\n\n".join(each for each in found if each) + "\n"


def _with_paper(title: str, designs: Mapping, target: str, columns: Mapping[str, int], paper: Mapping, watts: float) -> str:
    """The paper's four designs: ours, the paper's, ours over the paper's, and what each has more than the baseline, ours and
    the paper's. Of ``columns`` those that were measured. ``watts`` is the unit of the paper's power."""
    ours = {design.name: results[target] for design in Design if target in (results := designs.get(design.name.lower(), {}))}
    if not ours:
        return ""
    rows = []
    for field, place in columns.items():
        unit = watts if field == "power_w" else 1
        for name, result in ours.items():
            if field not in result:
                continue
            own, published = result[field], paper[name][place] * unit
            extra = ["", ""]
            if name != "BASELINE" and ours.get("BASELINE", {}).get(field):
                extra = [f"{own / ours['BASELINE'][field] - 1:+.1%}", f"{published / (paper['BASELINE'][place] * unit) - 1:+.1%}"]
            rows.append([_TITLES[field], name.lower(), _number(own), _number(published), f"{own / published:.2f}", *extra])
    return _markdown(f"{title}: 12×15 elements, and the paper's", (
        "", "design", "ours", "paper", "ours / paper", "over baseline", "paper's"), rows)


def _all(designs: Mapping, target: str) -> str:
    """Everything that was synthesised for ``target``."""
    found = {name: results[target] for name, results in designs.items() if target in results}
    columns = [field for field in _TITLES if any(field in result for result in found.values())]
    devices = any("device" in result for result in found.values())
    rows = [[name, *([_device(target, result)] if devices else []),
             *(_number(result[field]) if field in result else "" for field in columns)] for name, result in found.items()]
    header = ["design", *(["device"] if devices else []), *(_TITLES[field] for field in columns)]
    return _markdown(_FAMILIES[target], header, rows) if found else ""


def _device(target: str, result: Mapping) -> str:
    """What it was made for; the smallest one that has room, where it was made for any."""
    if target == "xc7" and result["device"] == xc7.ANY:
        return xc7.smallest(result) or "none has room"
    return result["device"]


def _number(value: float) -> str:
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _markdown(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest entry, words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    left = [not any(re.match(r"[+-]?\d", cell) for cell in column) or title in ("design", "device")
            for title, column in zip(header, zip(*rows))]

    def line(cells: Sequence[str]) -> str:
        padded = (f"{cell:{'<' if to_left else '>'}{width}}" for cell, width, to_left in zip(cells, widths, left))
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join("-" * (width + 1) + ("-" if to_left else ":") for width, to_left in zip(widths, left)) + "|"
    return "\n".join([f"**{title}**", "", line(header), rule, *map(line, rows)])
