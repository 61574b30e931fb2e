"""Many machines, and which of them no other one beats."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path

from adagp.spec.config import AcceleratorConfig, ArrayShape, Design

OPERAND_BITS, ACCUMULATOR_BITS = 16, 32

OBJECTIVES = {
    "cycles": "cycles of a sample, on average over the schedule",
    "bytes": "bytes of a sample over the bus, on average over the schedule",
    "elements": "processing elements, the predictor's included",
    "memory": "bits of memory on chip",
}
"""What is to be small."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A machine and a batch size. ``arrays`` beside the main one have the predictor's sizes of the configuration."""

    rows: int
    columns: int
    design: str
    batch: int
    bus_bits: int
    vector_words: int
    vector_banks: int
    operands: int

    def config(self, base: AcceleratorConfig) -> AcceleratorConfig:
        """``base`` with these sizes; its predictor's array is cut to the main one's. ValueError."""
        return replace(
            base, rows=self.rows, columns=self.columns, design=Design[self.design.upper()], bus_bits=self.bus_bits,
            vector_words=self.vector_words, vector_banks=self.vector_banks, stream_elements=self.operands,
            stationary_elements=self.operands, predictor_rows=min(base.predictor_rows, self.rows),
            predictor_columns=min(base.predictor_columns, self.columns))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a point: the objectives, or None and the ``error`` that says why it cannot be."""

    point: Point
    cycles: float | None = None
    bytes: float | None = None
    elements: int | None = None
    memory: int | None = None
    error: str | None = None


def points(**values: Sequence) -> Iterator[Point]:
    """All combinations of ``arrays``, which are (rows, columns), and of the other fields of :class:`Point`, each named
    in the plural as there and once."""
    names = [field.name for field in fields(Point) if field.name not in ("rows", "columns")]
    for (rows, columns), *others in product(values["arrays"], *(values[name] for name in names)):
        yield Point(rows=rows, columns=columns, **dict(zip(names, others)))


def elements(config: AcceleratorConfig) -> int:
    """Processing elements of all arrays."""
    return config.rows * config.columns + config.design.has_predictor_array * (config.predictor_rows * config.predictor_columns)


def memory_bits(config: AcceleratorConfig) -> int:
    """Of the memories on chip that programs see: operands, accumulators, and the predictor's where the design has them."""
    def operands(array: ArrayShape) -> int:
        return OPERAND_BITS * (array.stream_elements + array.stationary_elements)

    return (operands(config.array) + ACCUMULATOR_BITS * config.vector_elements
            + config.design.has_predictor_memory * ACCUMULATOR_BITS * config.predictor_elements
            + config.design.has_predictor_array * operands(config.predictor_array))


def front(outcomes: Sequence[Outcome], objectives: Sequence[str]) -> list[bool]:
    """Which outcomes no other one beats: is at least as small in all ``objectives`` and smaller in one. Equal ones are
    all on the front; what has an error is not."""
    rows = [None if outcome.error else tuple(getattr(outcome, name) for name in objectives) for outcome in outcomes]
    best: list[tuple] = []
    for row in sorted(set(filter(None, rows))):  # whoever beats a row comes before it
        if not any(all(a <= b for a, b in zip(other, row)) for other in best):
            best.append(row)
    kept = set(best)
    return [row in kept for row in rows]


def check_objectives(names: Sequence[str]) -> None:
    """ValueError for one that is not there."""
    for name in names:
        if name not in OBJECTIVES:
            raise ValueError(f"objective must be one of {', '.join(OBJECTIVES)}, not {name!r}")
    if not names:
        raise ValueError("objectives must be at least one, not none")


class Journal:
    """Outcomes in a file, one a line behind a line that says which sweep they are of. A line that was torn when the
    process was killed is forgotten."""

    def __init__(self, path: Path, sweep: dict):
        """``sweep`` says what decides about an outcome besides its point. ValueError if ``path`` is of another sweep."""
        self._path, self._head = path, json.dumps({"sweep": _digest(sweep)} | sweep, sort_keys=True)
        self.outcomes: dict[Point, Outcome] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().split("\n") if path.exists() else []
        if lines[:1] != [self._head]:
            if len(lines) > 1:  # a whole first line
                raise ValueError(f"{path} holds another sweep: take another folder, or delete it")
            path.write_text(self._head + "\n")
            return
        whole = lines[:-1]  # what follows the last line end is torn, or nothing
        path.write_text("\n".join(whole) + "\n")
        for line in whole[1:]:
            fields_ = json.loads(line)
            outcome = Outcome(**fields_ | {"point": Point(**fields_["point"])})
            self.outcomes[outcome.point] = outcome

    def add(self, outcome: Outcome) -> None:
        self.outcomes[outcome.point] = outcome
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")


def _digest(sweep: dict) -> str:
    return hashlib.sha256(json.dumps(sweep, sort_keys=True).encode()).hexdigest()[:16]


def explore(wanted: Sequence[Point], journal: Journal, evaluate: Callable[[Sequence[Point]], Iterator[Outcome]],
            progress: Callable[[Outcome, int], None] = lambda outcome, left: None) -> list[Outcome]:
    """Outcomes of ``wanted``, in their order; those that ``journal`` lacks come from ``evaluate``, in any order, and are
    kept there one by one."""
    missing = [point for point in dict.fromkeys(wanted) if point not in journal.outcomes]
    for number, outcome in enumerate(evaluate(missing), 1):
        journal.add(outcome)
        progress(outcome, len(missing) - number)
    return [journal.outcomes[point] for point in wanted]
