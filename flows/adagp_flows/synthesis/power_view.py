"""A Liberty library rewritten such that OpenSTA's power report adds up what the library says.

OpenSTA 2.0 overwrites the activity of whatever its propagation reaches, counts the energies of a rise
and of a fall for every single transition, and weighs the tables of several inputs by what it infers
from the function. In the view

- a flip-flop's output is where propagation starts: it keeps the activity it is given;
- a transition of an output costs the mean over inputs, and over rise and fall, of the library's
  energies at its load and at one input transition;
- a clock pin costs one rise and one fall per cycle, another pin of a flip-flop its own mean energy
  per transition;
- an exclusive or is spelt out, whose activity OpenSTA would underrate fourfold.

Leakage and capacitances are the library's. Delays are not: nothing else may be read from the view.
"""

import re

import numpy as np

from .liberty import Group

ACTIVITY = "ACT"
_HEADER = """library (power_view) {
  delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; pulling_resistance_unit : "1kohm";
  leakage_power_unit : "1nW"; capacitive_load_unit (1, pf);
  slew_upper_threshold_pct_rise : 80; slew_lower_threshold_pct_rise : 20;
  slew_upper_threshold_pct_fall : 80; slew_lower_threshold_pct_fall : 20;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  nom_process : 1; nom_voltage : %(voltage)s; nom_temperature : %(temperature)s;
  operating_conditions (typical) { process : 1; voltage : %(voltage)s; temperature : %(temperature)s; }
  default_operating_conditions : typical;
  power_lut_template (loads) { variable_1 : total_output_net_capacitance; index_1 ("1, 2"); }
"""
_ARC = "".join(f'{kind} (scalar) {{ values ("0.1"); }} ' for kind in (
    "cell_rise", "cell_fall", "rise_transition", "fall_transition"))
_XOR = re.compile(r"\b(\w+) *\^ *(\w+)\b")
_UNITS = {"time_unit": "1ns", "voltage_unit": "1V", "leakage_power_unit": "1nW"}


def power_view(library: Group, *, transition_ns: float) -> str:
    """The view of ``library`` with energies at input transitions of ``transition_ns``, as Liberty.

    Latches and cells with three-state outputs are left out. ValueError for other units than osu018's.
    """
    for name, unit in _UNITS.items():
        if library.attributes.get(name) != unit:
            raise ValueError(f"the library's {name} must be {unit}, not {library.attributes.get(name)}")
    voltage, temperature = (library.attributes[f"nom_{name}"] for name in ("voltage", "temperature"))
    cells = [_cell(library, cell, transition_ns) for cell in library.of("cell") if not _unsupported(cell)]
    return _HEADER % {"voltage": voltage, "temperature": temperature} + "".join(cells) + "}\n"


def energies(library: Group, pin: Group, *, transition_ns: float) -> list[tuple[float, float]]:
    """(load in pF, energy in pJ) of one transition of ``pin``, rise and fall and related inputs averaged;
    a single pair where the load plays no part, none where the library knows no energy."""
    tables = [_by_load(library, table, transition_ns)
              for group in pin.of("internal_power") for table in group.groups]
    if not tables:
        return []
    loads = sorted({load for table in tables for load in table})
    means = [np.mean([np.interp(load, list(table), list(table.values())) for table in tables]) for load in loads]
    return [(load, float(mean)) for load, mean in zip(loads, means)]


def _by_load(library: Group, table: Group, transition_ns: float) -> dict[float, float]:
    """Energy by load; a table over the transition alone has one entry, for load 0."""
    if table.arguments == ("scalar",):
        return {0.0: float(table.attributes["values"][0])}
    template, = (each for each in library.of("power_lut_template") if each.name == table.name)
    axes = [_numbers(table.attributes[f"index_{i + 1}"]) for i in range(len(table.attributes) - 1)]
    values = np.array([_numbers([row]) for row in table.attributes["values"]]).reshape([len(axis) for axis in axes])
    if template.attributes["variable_1"] != "total_output_net_capacitance":
        return {0.0: float(np.interp(transition_ns, axes[0], values))}
    if values.ndim == 1:
        return dict(zip(axes[0], values))
    return {load: float(np.interp(transition_ns, axes[1], row)) for load, row in zip(axes[0], values)}


def _numbers(rows: list[str]) -> list[float]:
    return [float(number) for row in rows for number in re.split(r"[ ,]+", row.strip())]


def _unsupported(cell: Group) -> bool:
    return bool(cell.of("latch")) or any("three_state" in pin.attributes for pin in cell.of("pin"))


def _cell(library: Group, cell: Group, transition_ns: float) -> str:
    flip_flop = bool(cell.of("ff"))
    inputs = [pin.name for pin in cell.of("pin") if pin.attributes["direction"] == "input"]
    lines = [f"  cell ({cell.name}) {{", f"    area : {cell.attributes['area']};",
             f"    cell_leakage_power : {cell.attributes['cell_leakage_power']};"]
    for pin in cell.of("pin"):
        output, clock = pin.name not in inputs, pin.attributes.get("clock") == "true"
        lines += [f"    pin ({pin.name}) {{", f"      direction : {pin.attributes['direction']};",
                  f"      capacitance : {pin.attributes['capacitance']};", *(["      clock : true;"] * clock)]
        if pairs := energies(library, pin, transition_ns=transition_ns):
            # A clock's two transitions per cycle are counted as rise and fall each.
            lines.append(_internal_power(pairs, factor=0.5 if clock else 1.0))
        if output:
            function = "%s" % ACTIVITY if flip_flop else _XOR.sub(r"((\1 !\2) + (!\1 \2))", pin.attributes["function"])
            lines.append(f'      function : "{function}";')
            lines += [f'      timing () {{ related_pin : "{name}"; {_ARC}}}' for name in ([ACTIVITY] if flip_flop else inputs)]
            if flip_flop: lines += [f'      timing () {{ related_pin : "{name}"; timing_type : rising_edge; {_ARC}}}' for name in ["CLK"]]
        lines.append("    }")
    if flip_flop: lines.append(f"    pin ({ACTIVITY}) {{ direction : input; capacitance : 0; }}")
    return "\n".join([*lines, "  }\n"])


def _internal_power(pairs: list[tuple[float, float]], *, factor: float) -> str:
    values = ", ".join(f"{factor * energy:g}" for _, energy in pairs)
    if len(pairs) == 1:
        tables = [f'{kind} (scalar) {{ values ("{values}"); }}' for kind in ("rise_power", "fall_power")]
    else:
        axis = ", ".join(f"{load:g}" for load, _ in pairs)
        tables = [f'{kind} (loads) {{ index_1 ("{axis}"); values ("{values}"); }}' for kind in ("rise_power", "fall_power")]
    return f"      internal_power () {{ {' '.join(tables)} }}"
