"""Synthesis of many designs for many targets; what is finished is in the report at once."""

import sys
from collections.abc import Sequence
from pathlib import Path

from adagp.files import replace_file

from . import areas, picture, report
from .devices import DoesNotFit
from .jobs import JobError
from .targets import TARGETS, Question

PICTURE = "area.png"


class Unfinished(RuntimeError):
    """Some of what was asked has no answer; the text says why, a paragraph for each."""


def answer_all(questions: Sequence[tuple[str, Question]], folder: Path) -> str:
    """Answers the target's name and question of each, and leaves report, tables and picture in ``folder``, with all that was
    there before. The tables; :class:`Unfinished` once all others are answered."""
    failures = []
    for target, asked in questions:
        print(f"{asked.subject.name} for {target}, {asked.device}", file=sys.stderr, flush=True)
        try:
            result = TARGETS[target].answer(asked)
        except (DoesNotFit, JobError) as error:
            failures.append(f"{asked.subject.name} for {target}: {error}")
            continue
        _publish(folder, report.add(folder, asked.subject.name, target, result))
    if failures:
        raise Unfinished("\n".join(failures))
    return report.text(report.load(folder))


def _publish(folder: Path, current: dict) -> None:
    replace_file(folder / report.TABLES, lambda path: path.write_text(report.text(current)))
    tables = {name: folder / name / "xc7" / "modules.csv" for name, results in current["designs"].items() if "xc7" in results}
    designs = {name: areas.read(path.read_text()) for name, path in tables.items() if path.exists()}
    whole = {name: modules for name, modules in designs.items() if any(name == f"{modules[0].module}_registers" for name in (
        area.module for area in modules))}
    if whole:
        picture.picture(whole, folder / PICTURE)
