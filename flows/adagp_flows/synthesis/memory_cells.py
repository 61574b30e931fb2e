"""Liberty cells that stand for memories: the library of standard cells has none.

They have no area. Their timing is an assumption, the same for all of them.
"""

from collections.abc import Iterable

from .cell_netlist import Shape
from .liberty import UNITS
from .power_view import constant_arc

ACCESS_NS = 1.5
"""Assumed, not of any library: from the clock (asynchronous ones: from the address) to read data."""

SETUP_NS = 0.3
"""Assumed: how long before the clock addresses, enables and write data have to be there."""

PIN_PF = 0.01
"""Assumed capacitance of an input, about that of a flip-flop."""

_HEADER = "library (memories) {\n" + UNITS + """\
  nom_process : 1; nom_voltage : 1.8; nom_temperature : 25;
"""
_SLEW_NS = 0.1


def memory_cells(shapes: Iterable[Shape]) -> str:
    """A Liberty library with a cell for each shape."""
    shapes = sorted(set(shapes))
    widths = sorted({width for shape in shapes for width in (shape.width, shape.address_bits)})
    types = [f"  type (bits{width}) {{ base_type : array; data_type : bit; bit_width : {width}; bit_from : {width - 1}; bit_to : 0; }}\n"
             for width in widths]
    return _HEADER + "".join(types) + "".join(_cell(shape) for shape in shapes) + "}\n"


def _cell(shape: Shape) -> str:
    read = "RD_CLK" if shape.synchronous else None
    data = constant_arc("RD_CLK", ACCESS_NS, _SLEW_NS, edge=True) if read else constant_arc("RD_ADDR", ACCESS_NS, _SLEW_NS)
    lines = [f"  cell ({shape.name}) {{", "    area : 0; cell_leakage_power : 0;",
             "    pin (WR_CLK) { direction : input; capacitance : 0; clock : true; }",
             f"    pin (RD_CLK) {{ direction : input; capacitance : 0; {'clock : true; ' if read else ''}}}"]
    for name, width, clock in (("RD_ADDR", shape.address_bits, read), ("RD_EN", 1, read), ("RD_ARST", 1, None),
                               ("RD_SRST", 1, read), ("WR_ADDR", shape.address_bits, "WR_CLK"),
                               ("WR_EN", shape.width, "WR_CLK"), ("WR_DATA", shape.width, "WR_CLK")):
        check = (f'timing () {{ related_pin : "{clock}"; timing_type : setup_rising; '
                 f'rise_constraint (scalar) {{ values ("{SETUP_NS}"); }} fall_constraint (scalar) {{ values ("{SETUP_NS}"); }} }}')
        # An enable for each bit is how Yosys has it; a memory has one for all that are written together.
        capacitance = PIN_PF / width if name == "WR_EN" else PIN_PF
        lines.append(f"    {_port(name, width)} direction : input; capacitance : {capacitance:.6f}; {check if clock else ''} }}")
    lines.append(f'    {_port("RD_DATA", shape.width)} direction : output; capacitance : 0; {data} }}')
    return "\n".join([*lines, "  }\n"])


def _port(name: str, width: int) -> str:
    return f"bus ({name}) {{ bus_type : bits{width};" if width > 1 else f"pin ({name}) {{"
