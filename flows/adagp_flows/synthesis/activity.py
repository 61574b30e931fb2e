"""Switching activity of a netlist's registers and inputs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adagp.files import replace_file

from .cell_netlist import CellNetlist, Instance
from .power_view import ACTIVITY, SOURCE

_BIT = re.compile(r"(.*?)(?:\[(\d+)\])?")


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What switched in a module, and how often.

    ``signals``: (bits, 2) by the path of a signal from the module on, joined by dots: transitions per
    cycle and share of the cycles as 1. ``source`` says where that is from.
    """

    source: str
    signals: dict[str, np.ndarray]

    def of(self, net: str) -> np.ndarray | None:
        """Transitions and share of one net, if it is known."""
        name, bit = _BIT.fullmatch(net).groups()
        signal = self.signals.get(name)
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
    and have the mean of the others in the module."""

    lines: tuple[str, ...]
    bits: int
    unknown: int


def annotations(netlist: CellNetlist, activity: Activity, *, flip_flops: dict[str, str]) -> Annotations:
    """Sets ``activity`` on what drives the logic of the top of ``netlist``: flip-flops (kinds of cells and their output pins),
    cells :data:`SOURCE`, and inputs. The lines call ``toggle PIN ACTIVITY DUTY`` and
    ``toggle_input PORT ACTIVITY DUTY``. What is not a register and not known is quiet."""
    registers = netlist.instances(netlist.top, set(flip_flops))
    known = [activity.of(each.nets(flip_flops[each.kind])[0]) for each in registers]
    mean = _mean(known)
    lines = [_set(register, mean if values is None else values) for register, values in zip(registers, known)]
    lines += [_set(each, _mean([activity.of(each.nets("Y")[0])])) for each in netlist.instances(netlist.top, {SOURCE})]
    for name in netlist.inputs:
        values = _mean([activity.of(name)])
        lines.append(f"toggle_input {{{name}}} {values[0]:.4g} {values[1]:.4g}")
    return Annotations(lines=tuple(lines), bits=len(known), unknown=sum(each is None for each in known))


def _mean(values: list[np.ndarray | None]) -> np.ndarray:
    known = [each for each in values if each is not None]
    return np.mean(known, 0) if known else np.zeros(2)


def _set(instance: Instance, values: np.ndarray) -> str:
    return f"toggle {{{instance.name}/{ACTIVITY}}} {values[0]:.4g} {values[1]:.4g}"
