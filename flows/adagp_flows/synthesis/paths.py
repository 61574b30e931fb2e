"""The longest paths of a netlist that nothing has placed yet: the delays of its cells, and of its wires by their loads.

For families that no open tool places, and to see what limits a clock before a placement of an hour.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from adagp.files import replace_file

#: What tools add to the names of cells; and names of nets that are only theirs.
_CELL_NAME = re.compile(r"_[A-Z][A-Z0-9]{2,}_.*|\.?\$.*|(^|\.)_\d+_.*")
_ADDED = re.compile(r"_[A-Z][A-Z0-9]{2,}_|(^|\.)_\d+_$")


@dataclass(frozen=True, kw_only=True)
class CellTiming:
    """Of a kind of cell, in ns. ``launch``: from the clock to its outputs. ``through``: from an input to an output, by
    output. Inputs that are in none of the latter end paths, ``setup`` before the clock (0 where it does not say).
    ``adjacent``: inputs that have no wire, because what drives them is in the same slice. ``ignored``: inputs that
    paths do not end at, clocks above all."""

    launch: Mapping[str, float] = field(default_factory=dict)
    through: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    setup: Mapping[str, float] = field(default_factory=dict)
    adjacent: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Timing:
    """``cell``: of a kind with its parameters. ``wire``: ns to each of a number of loads."""

    cell: Callable[[str, Mapping[str, str]], CellTiming]
    wire: Callable[[int], float]


@dataclass(frozen=True, kw_only=True)
class Path:
    """``signals``: what the source calls its way, from one register to the next, with the ns at which it is there."""

    delay_ns: float
    cells: int
    signals: tuple[tuple[float, str], ...]
    alike: int

    def __str__(self) -> str:
        """One line, and one for each signal."""
        first, last = self.signals[0][1], self.signals[-1][1]
        return "\n".join([f"{self.delay_ns:6.2f} ns, {self.cells} cells: {first} -> {last}, {self.alike} alike",
                          *(f"    {ns:6.2f} {signal}" for ns, signal in self.signals)])


def longest(netlist: str, timing: Timing, *, top: str, count: int = 40) -> tuple[Path, ...]:
    """The longest paths of the flattened module ``top`` of Yosys's JSON ``netlist``, the slowest first.

    Paths between the same registers, indices aside, are one. What comes from or goes to a port of the module has none
    of the time that it takes outside.
    """
    return _Netlist(json.loads(netlist)["modules"][top], timing).longest(count)


class _Netlist:
    """``arrivals``: by bit, when it is there and the bit of the path before, for all bits that something drives."""

    def __init__(self, module: Mapping, timing: Timing):
        self._timing = timing
        self._cells = module["cells"]
        self._kinds: dict[tuple, CellTiming] = {}
        self._of = {name: self._kind(cell) for name, cell in self._cells.items()}
        self._loads: Counter = Counter()
        self._driver: dict[int, tuple[str, str]] = {}
        for name, cell in self._cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    if isinstance(bit, str):
                        continue
                    if cell["port_directions"][port] == "output":
                        self._driver[bit] = name, port
                    else:
                        self._loads[bit] += 1
        self._names = _names(module)
        self.arrivals: dict[int, tuple[float, int | None]] = {}

    def _kind(self, cell: Mapping) -> CellTiming:
        key = cell["type"], tuple(cell.get("parameters", {}).items()) if len(cell["connections"]) > 20 else ()
        if key not in self._kinds:
            self._kinds[key] = self._timing.cell(cell["type"], cell.get("parameters", {}))
        return self._kinds[key]

    def _inputs(self, bit: int) -> Iterator[tuple[int, float]]:
        """The bits from which ``bit`` follows without a clock, with the ns from there."""
        name, port = self._driver[bit]
        kind, connections = self._of[name], self._cells[name]["connections"]
        for entry, ns in kind.through.get(port, {}).items():
            for source in connections.get(entry, ()):
                if source in self._driver:
                    yield source, ns + self._wire(kind, entry, source)

    def _wire(self, kind: CellTiming, port: str, bit: int) -> float:
        return 0.0 if port in kind.adjacent else self._timing.wire(self._loads[bit])

    def _arrive(self, last: int) -> float:
        """Of a bit, after all from which it follows; a loop without a register is cut where it was entered."""
        stack, entered = [last], set()
        while stack:
            bit = stack[-1]
            if bit in self.arrivals:
                stack.pop()
                continue
            missing = [] if bit in entered else [source for source, _ in self._inputs(bit) if source not in self.arrivals]
            entered.add(bit)
            if missing:
                stack.extend(missing)
                continue
            name, port = self._driver[bit]
            best, before = self._of[name].launch.get(port, 0.0), None
            for source, ns in self._inputs(bit):
                if source in self.arrivals and self.arrivals[source][0] + ns > best:
                    best, before = self.arrivals[source][0] + ns, source
            self.arrivals[bit] = best, before
            stack.pop()
        return self.arrivals[last][0]

    def _ends(self) -> Iterator[tuple[float, int, str]]:
        """All ends of paths: delay, the bit that comes last, and the name of what it goes into."""
        for name, cell in self._cells.items():
            kind = self._of[name]
            passing = {entry for entries in kind.through.values() for entry in entries}
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "output" or port in passing or port in kind.ignored:
                    continue
                for bit in bits:
                    if bit in self._driver:
                        yield self._arrive(bit) + self._wire(kind, port, bit) + kind.setup.get(port, 0.0), bit, self._target(name, port)

    def _target(self, name: str, port: str) -> str:
        """The register at the end, as its output is called; a memory has its own name."""
        outputs = self._cells[name]["connections"]
        register = next((self._names[bit] for key in ("Q", "O") for bit in outputs.get(key, ()) if bit in self._names), None)
        return f"{register or _CELL_NAME.sub('', name)} ({port})"

    def longest(self, count: int) -> tuple[Path, ...]:
        ends = sorted(self._ends(), key=lambda end: -end[0])
        groups: dict[tuple[str, str], list] = {}
        for delay, bit, target in ends:
            way = self._way(bit)
            key = tuple(re.sub(r"\d+", "#", text) for text in (way[0][1], target))
            if key not in groups and len(groups) == count:
                break
            groups.setdefault(key, [delay, bit, target, way, 0])[-1] += 1
        return tuple(Path(delay_ns=round(delay, 3), cells=self._depth(bit), signals=(*way, (round(delay, 2), target)), alike=alike)
                     for delay, bit, target, way, alike in groups.values())

    def _depth(self, bit: int | None) -> int:
        """Cells between the registers."""
        depth = -1
        while bit is not None:
            depth, bit = depth + 1, self.arrivals[bit][1]
        return depth

    def _way(self, bit: int | None) -> list[tuple[float, str]]:
        """Signals with names of the source up to ``bit``, its start first."""
        way = []
        while bit is not None:
            ns, before = self.arrivals[bit]
            if before is None or bit in self._names:
                name, port = self._driver[bit]
                way.append((round(ns, 2), self._names.get(bit) or f"{_CELL_NAME.sub('', name)}.{port}"))
            bit = before
        return way[::-1]


def _names(module: Mapping) -> dict[int, str]:
    """The shortest name that the source has for a bit."""
    names: dict[int, str] = {}
    for name, net in module["netnames"].items():
        if net.get("hide_name") or _ADDED.search(name):
            continue
        for place, bit in enumerate(net["bits"]):
            if isinstance(bit, int) and (bit not in names or len(name) < len(names[bit].partition("[")[0])):
                names[bit] = f"{name}[{place}]" if len(net["bits"]) > 1 else name
    return names


def report(netlist: str, timing: Timing, *, top: str, folder: FilePath) -> float | None:
    """The clock in MHz for which the longest path is short enough, None if there is no path; leaves the longest ones
    in ``paths.txt`` in ``folder``."""
    found = longest(netlist, timing, top=top)
    replace_file(folder / "paths.txt", lambda path: path.write_text("\n".join(map(str, found)) + "\n"))
    return round(1000 / found[0].delay_ns, 1) if found else None
