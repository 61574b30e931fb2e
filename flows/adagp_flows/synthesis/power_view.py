"""A Liberty library rewritten such that OpenSTA's power report adds up what the library says.

OpenSTA 2.0 overwrites the activity of whatever its propagation reaches, counts the energies of a rise
and of a fall for every single transition, and weighs the tables of several inputs by what it infers
from the function. In the view

- a flip-flop has one more input, :data:`ACTIVITY`, of which its output is the function: propagation
  starts there, with the activity that somebody sets on that pin;
- a transition of an output costs the mean over inputs, and over rise and fall, of the library's
  energies at its load and at one input transition;
- a clock pin costs one rise and one fall per cycle, and charging it, as there is no cell that drives
  the clock; another pin of a flip-flop its own mean energy per transition;
- an exclusive or is spelt out: its activity is so underrated by a quarter, as such by three.

Leakage and capacitances are the library's. Delays are not: nothing else may be read from the view.
"""

import re

import numpy as np

from .liberty import UNITS, Group

ACTIVITY = "ACTIVITY"

SOURCE = "SOURCE"
"""A cell of the view that costs nothing: its output ``Y`` has the activity of :data:`ACTIVITY`."""

TRANSITION_NS = 0.15
"""Input transition at which energies are taken: about the mean in a design that meets 5 ns."""

_HEADER = "library (power_view) {\n" + UNITS + """\
  nom_process : 1; nom_voltage : %(voltage)s; nom_temperature : %(temperature)s;
  operating_conditions (typical) { process : 1; voltage : %(voltage)s; temperature : %(temperature)s; }
  default_operating_conditions : typical;
  power_lut_template (loads) { variable_1 : total_output_net_capacitance; index_1 ("1, 2"); }
"""
_XOR = re.compile(r"\b(\w+) *\^ *(\w+)\b")
_UNITS = {"time_unit": "1ns", "voltage_unit": "1V", "leakage_power_unit": "1nW"}


def power_view(library: Group, *, transition_ns: float = TRANSITION_NS) -> str:
    """The view of ``library`` with energies at input transitions of ``transition_ns``, as Liberty.

    Latches and cells with three-state outputs are left out. ValueError for other units than osu018's.
    """
    for name, unit in _UNITS.items():
        if library.attributes.get(name) != unit:
            raise ValueError(f"the library's {name} must be {unit}, not {library.attributes.get(name)}")
    conditions = {name: library.attributes[f"nom_{name}"] for name in ("voltage", "temperature")}
    cells = [_cell(library, cell, transition_ns) for cell in library.of("cell") if not _unsupported(cell)]
    source = (f"  cell ({SOURCE}) {{ area : 0; cell_leakage_power : 0; pin ({ACTIVITY}) {{ direction : input; capacitance : 0; }}\n"
              f'    pin (Y) {{ direction : output; capacitance : 0; function : "{ACTIVITY}"; {constant_arc(ACTIVITY, 0, 0)} }} }}\n')
    return _HEADER % conditions + "".join([*cells, source]) + "}\n"


def energies(library: Group, pin: Group, *, transition_ns: float = TRANSITION_NS) -> list[tuple[float, float]]:
    """(load in pF, energy in pJ) of one transition of ``pin``, rise and fall and related inputs averaged;
    a single pair where the load plays no part, none where the library knows no energy."""
    tables = [_by_load(library, table, transition_ns)
              for group in pin.of("internal_power") for table in group.groups]
    loads = sorted({load for table in tables for load in table})
    return [(load, float(np.mean([np.interp(load, list(table), list(table.values())) for table in tables])))
            for load in loads]


def constant_arc(related: str, delay_ns: float, slew_ns: float, *, edge: bool = False) -> str:
    """Liberty's ``timing`` group from ``related``, or with ``edge`` from its rise, with constant delays."""
    kinds = {"cell_rise": delay_ns, "cell_fall": delay_ns, "rise_transition": slew_ns, "fall_transition": slew_ns}
    tables = " ".join(f'{kind} (scalar) {{ values ("{value}"); }}' for kind, value in kinds.items())
    return f'timing () {{ related_pin : "{related}"; {"timing_type : rising_edge; " if edge else ""}{tables} }}'


def _by_load(library: Group, table: Group, transition_ns: float) -> dict[float, float]:
    """Energy by load; a table over the transition alone has one entry, for load 0."""
    template, = (each for each in library.of("power_lut_template") if each.name == table.name)
    axes = [_numbers(table.attributes[name]) for name in ("index_1", "index_2") if name in table.attributes]
    values = np.array(_numbers(table.attributes["values"])).reshape([len(axis) for axis in axes])
    if template.attributes["variable_1"] != "total_output_net_capacitance":
        return {0.0: float(np.interp(transition_ns, axes[0], values))}
    return {load: float(np.interp(transition_ns, axes[1], row)) for load, row in zip(axes[0], values)}


def _numbers(rows: list[str]) -> list[float]:
    return [float(number) for row in rows for number in row.split(",")]


def _unsupported(cell: Group) -> bool:
    return bool(cell.of("latch")) or any("three_state" in pin.attributes for pin in cell.of("pin"))


def _cell(library: Group, cell: Group, transition_ns: float) -> str:
    flip_flop = bool(cell.of("ff"))
    pins = cell.of("pin")
    inputs = [pin.name for pin in pins if pin.attributes["direction"] == "input"]
    clocks = [pin.name for pin in pins if pin.attributes.get("clock") == "true"]
    lines = [f"  cell ({cell.name}) {{", f"    area : {cell.attributes['area']};",
             f"    cell_leakage_power : {cell.attributes['cell_leakage_power']};"]
    if flip_flop:
        lines.append(f"    pin ({ACTIVITY}) {{ direction : input; capacitance : 0; }}")
    for pin in pins:
        lines += [f"    pin ({pin.name}) {{", f"      direction : {pin.attributes['direction']};",
                  f"      capacitance : {pin.attributes['capacitance']};"]
        if pin.name in clocks:
            lines.append("      clock : true;")
        pairs = energies(library, pin, transition_ns=transition_ns)
        if pin.name in clocks:
            charging = pin.number("capacitance") * library.number("nom_voltage") ** 2 / 2
            # OpenSTA has a clock rise and fall at each of its two transitions in a cycle.
            pairs = [(load, (energy + charging) / 2) for load, energy in pairs]
        if pairs:
            lines.append(_internal_power(pairs))
        if pin.name not in inputs:
            function = ACTIVITY if flip_flop else _XOR.sub(r"((\1 !\2) + (!\1 \2))", pin.attributes["function"])
            lines.append(f'      function : "{function}";')
            lines += [f"      {constant_arc(name, 0.1, 0.1)}" for name in ([ACTIVITY] if flip_flop else inputs)]
            lines += [f"      {constant_arc(name, 0.1, 0.1, edge=True)}" for name in clocks]
        lines.append("    }")
    return "\n".join([*lines, "  }\n"])


def _internal_power(pairs: list[tuple[float, float]]) -> str:
    values = ", ".join(f"{energy:g}" for _, energy in pairs)
    axis = ", ".join(f"{load:g}" for load, _ in pairs)
    shape, index = ("scalar", "") if len(pairs) == 1 else ("loads", f'index_1 ("{axis}"); ')
    tables = [f'{kind} ({shape}) {{ {index}values ("{values}"); }}' for kind in ("rise_power", "fall_power")]
    return f"      internal_power () {{ {' '.join(tables)} }}"
