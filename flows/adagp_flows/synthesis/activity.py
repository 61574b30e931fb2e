"""Switching activity of a netlist's registers, memories and inputs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adagp.files import replace_file

from .cell_netlist import MEMORY, CellNetlist
from .power_view import ACTIVITY

_BIT = re.compile(r"(.*?)(?:\[(\d+)\])?")


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What switched in a module, and how often.

    ``signals``: (bits, 2) by the path of a signal from the module on, joined by dots: transitions per
    cycle and share of the cycles as 1. ``source`` says where that is from.
    """

    source: str
    signals: dict[str, np.ndarray]

    def of(self, path: str, net: str) -> np.ndarray | None:
        """Transitions and share of one net of the instance at ``path`` (joined by ``/``), if it is known."""
        name, bit = _BIT.fullmatch(net).groups()
        signal = self.signals.get(".".join([*path.split("/"), name]) if path else name)
        return None if signal is None or int(bit or 0) >= len(signal) else signal[int(bit or 0)]

    def within(self, places: Sequence[str], *, what: str) -> "Activity":
        """That of a module alone: the mean over the instances at ``places``, paths joined by dots; ValueError where a place
        has no signals."""
        inner = [{name.removeprefix(f"{place}."): values for name, values in self.signals.items() if name.startswith(f"{place}.")}
                 for place in places]
        for place, signals in zip(places, inner):
            if not signals:
                raise ValueError(f"there are no signals in {place}")
        return Activity(source=f"{self.source}; mean over {what}",
                        signals={name: np.mean([each[name] for each in inner], 0) for name in inner[0]})

    def save(self, file: Path) -> None:
        def write(path: Path) -> None:
            with path.open("wb") as target:
                np.savez_compressed(target, source=self.source, names=list(self.signals), widths=list(map(len, self.signals.values())),
                                    values=np.concatenate(list(self.signals.values())))
        replace_file(file, write)

    @classmethod
    def load(cls, file: Path) -> "Activity":
        with np.load(file) as saved:
            values = np.split(saved["values"], np.cumsum(saved["widths"])[:-1])
            return cls(source=str(saved["source"]), signals=dict(zip(saved["names"].tolist(), values)))


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Tcl for OpenSTA, a line for each pin; of ``bits`` register bits ``unknown`` were not in the simulation
    and have the mean of the registers around them."""

    lines: tuple[str, ...]
    bits: int
    unknown: int

    @property
    def coverage(self) -> str:
        known = f"{self.bits - self.unknown:,} of {self.bits:,} register bits"
        return f"{known}, and the mean of their module for the others" if self.unknown else known


def annotations(netlist: CellNetlist, activity: Activity, *, flip_flops: dict[str, str]) -> Annotations:
    """Sets ``activity`` on what drives the logic of ``netlist``: flip-flops (kinds of cells and their output pins), memories
    (all bits of one alike), and the inputs of the top. The lines call ``toggle PIN ACTIVITY DUTY`` and
    ``toggle_input PORT ACTIVITY DUTY``. An input that is not known is quiet."""
    lines, bits, unknown = [], 0, 0
    for path, module in netlist.places():
        registers = netlist.instances(module, set(flip_flops))
        known = [activity.of(path, each.nets(flip_flops[each.kind])[0]) for each in registers]
        mean = _mean(known)
        bits, unknown = bits + len(known), unknown + sum(each is None for each in known)
        lines += [_set(path, register.name, mean if values is None else values) for register, values in zip(registers, known)]
        for memory in netlist.instances(module, {MEMORY}):
            read = _mean([activity.of(path, net) for net in memory.nets("RD_DATA")])
            lines.append(_set(path, memory.name, read))
    for name in netlist.inputs:
        values = _mean([activity.of("", name)])
        lines.append(f"toggle_input {{{name}}} {values[0]:.4g} {values[1]:.4g}")
    return Annotations(lines=tuple(lines), bits=bits, unknown=unknown)


def _mean(values: list[np.ndarray | None]) -> np.ndarray:
    known = [each for each in values if each is not None]
    return np.mean(known, 0) if known else np.zeros(2)


def _set(path: str, instance: str, values: np.ndarray) -> str:
    pin = "/".join([*([path] if path else []), instance, ACTIVITY])
    return f"toggle {{{pin}}} {values[0]:.4g} {values[1]:.4g}"
