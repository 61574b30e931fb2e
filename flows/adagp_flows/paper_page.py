"""The paper's evaluation and ours as one HTML page that needs nothing else."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from .paper_entries import ENTRIES, Entry
from .paper_pictures import told
from .paper_reasons import Comparison
from .paper_tables import Cell, Table

_COLOURS, _NEAR = 64, 0.02
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff }
body { max-width: 1080px; margin: 2em auto; padding: 0 1.2em }
h1 { font-size: 1.6em; line-height: 1.2 } h2 { font-size: 1.15em; margin-top: 2.4em; border-top: 1px solid #ddd }
h2 { padding-top: .9em } h2 small { color: #666; font-weight: normal }
nav { columns: 3; font-size: .93em } nav a { display: block } a { color: #2a5c8a }
img { max-width: 100%; height: auto } .wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .88em; margin: .7em 0 }
th { text-align: left; border-bottom: 2px solid #999; vertical-align: bottom }
th, td { padding: .2em .7em .2em 0; vertical-align: top } td { border-bottom: 1px solid #e6e6e6 }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } td.reason { min-width: 26em }
.yes { color: #1b6e2a } .no { color: #8a2b61 } summary { cursor: pointer; color: #2a5c8a } p.note { color: #555 }
"""


def page(comparisons: Sequence[Comparison], tables: Sequence[Table], pictures: Path, note: str) -> str:
    """``pictures`` is the folder with the pictures, as PNG; ``note`` says on what everything was computed."""
    by_name = {table.name: table for table in tables}
    agreeing = sum(each.agrees for each in comparisons)
    near = sum(not each.agrees and abs(each.difference / each.published.value) <= _NEAR for each in comparisons)
    parts = [
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>ADA-GP: the paper's evaluation and ours</title><style>{_STYLE}</style></head><body>",
        "<h1>ADA-GP: the paper’s evaluation, figure by figure, and ours</h1>",
        f"<p>{escape(note)}</p>",
        f"<p>Of {len(comparisons)} numbers in the paper’s text and tables, {agreeing} come out to the digits that it "
        f"prints, {near} more to {_NEAR:.0%}. For all others the difference is given, and its reason where a computed "
        "number shows it; “not known” is said where none does.</p>",
        "<nav>", *(f'<a href="#{entry.name}">{escape(entry.title)}</a>' for entry in entries(by_name)), "</nav>",
        _picture("claims", "Ours over the paper's, for every number", pictures),
        *(_section(entry, comparisons, by_name, pictures) for entry in entries(by_name)), "</body></html>"]
    return "\n".join(parts) + "\n"


def entries(tables: dict[str, Table]) -> tuple[Entry, ...]:
    """Those of the paper, and the check against the RTL if there is one."""
    if "rtl-check" not in tables:
        return ENTRIES
    return (*ENTRIES, Entry(
        name="rtl-check", title="This project’s machine: model against RTL", section="no figure of the paper", pictures=(),
        tables=("rtl-check",), text="Cycles and bytes of random layers, counted by the simulated RTL and told by the model."))


def _section(entry: Entry, comparisons: Sequence[Comparison], tables: dict[str, Table], pictures: Path) -> str:
    own = [each for each in comparisons if each.published.entry == entry.name]
    section = f"section {entry.section}" if entry.section[0].isdigit() else entry.section
    return "\n".join([
        f'<section id="{entry.name}"><h2>{escape(entry.title)} <small>{escape(section)}</small></h2>',
        f'<p class="note">{escape(entry.text)}</p>',
        *(_picture(name, entry.title, pictures) for name in entry.pictures), *([_claims(own)] if own else []),
        *(_table(tables[name]) for name in entry.tables), "</section>"])


def _picture(name: str, title: str, pictures: Path) -> str:
    """As PNG of few colours."""
    from PIL import Image  # comes with matplotlib

    small = BytesIO()
    with Image.open(pictures / f"{name}.png") as picture:
        picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{b64encode(small.getvalue()).decode()}">'


def _claims(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for each in comparisons:
        ours, paper = told(each)
        difference = 100 * each.difference / each.published.value
        verdict = '<span class="yes">agrees</span>' if each.agrees else f'<span class="no">{difference:+.1f} %</span>'
        rows.append(f'<tr><td>{escape(each.published.what)}</td><td class="n">{paper}</td><td class="n">{ours}</td>'
                    f'<td class="n">{verdict}</td><td class="reason">{escape(each.reason)}</td></tr>')
    return ('<div class="wide"><table><tr><th>the paper says</th><th class="n">paper</th><th class="n">ours</th>'
            f'<th class="n">difference</th><th>reason</th></tr>{"".join(rows)}</table></div>')


def _table(table: Table) -> str:
    numbers = [all(not isinstance(row[column], str) for row in table.rows) for column in range(len(table.columns))]
    kinds = [' class="n"' if number else "" for number in numbers]
    head = "".join(f"<th{kind}>{escape(column)}</th>" for kind, column in zip(kinds, table.columns))
    rows = "".join("<tr>" + "".join(f"<td{kind}>{escape(shown(cell))}</td>" for kind, cell in zip(kinds, row)) + "</tr>"
                   for row in table.rows)
    body = f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'
    file = f'<a href="{table.name}.csv">{table.name}.csv</a>'
    if table.folded:
        return f"<details><summary>all {len(table.rows)} rows of {table.name}</summary>{body}</details><p>{file}</p>"
    return f"{body}<p>{file}</p>"


def shown(cell: Cell) -> str:
    """Four significant digits, or all of a whole number."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}"
    return format(cell, ".4g" if abs(cell) >= 1e7 else ",.0f" if abs(cell) >= 1000 else ".4f" if abs(cell) < 0.1 else ".3f")
