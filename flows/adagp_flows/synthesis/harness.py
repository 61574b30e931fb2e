"""A design with more ports than a package has pins, as one with four: its ports end in registers of a scan chain.

So every path through a port counts, from register to register, and the result can be placed on a real device and has
a bitstream. What the chain costs is not the design's; :attr:`Xc7.modules` and the like tell it apart.
"""

import re

from .modules import Hierarchy

_PORT = re.compile(r"^[ \t]*(input|output)\s+(?:\[(\d+):0\]\s*)?(\\\S+|\w+)\s*;", re.MULTILINE)

PORTS = ("clock", "shift", "scan_in", "scan_out")


def scan_chain(source: str, *, top: str, clock: str) -> tuple[str, str]:
    """Verilog to be added to ``source``, and the name of its module, whose :data:`PORTS` are all of one bit.

    With every ``clock`` the inputs of ``top`` move on by one; its outputs are captured or, with ``shift``, move on.
    ``clock`` is the name of the port of ``top`` that gets it.
    """
    ports = [(kind, int(high or 0) + 1, name) for kind, high, name in _PORT.findall(Hierarchy.of(source, top).modules[top].header)]
    if ("input", 1, clock) not in ports:
        raise ValueError(f"clock must be an input of {top}, not {clock!r}")
    given = [(width, name) for kind, width, name in ports if kind == "input" and name != clock]
    taken = [(width, name) for kind, width, name in ports if kind == "output"]
    inputs, outputs = sum(width for width, _ in given), sum(width for width, _ in taken)
    connections = [f".{clock}(clock)", *_slices("given", given), *_slices("taken", taken)]
    module = f"{top}_scan"
    return module, f"""\
module {module}(clock, shift, scan_in, scan_out);
  input clock;
  input shift;
  input scan_in;
  output scan_out;
  reg [{inputs}:0] given;
  wire [{outputs - 1}:0] taken;
  reg [{outputs - 1}:0] captured;
  assign scan_out = captured[{outputs - 1}];
  always @(posedge clock) begin
    given <= {{given, scan_in}};
    captured <= shift ? {{captured, given[{inputs}]}} : taken;
  end
  {top} design (
    {f",{chr(10)}    ".join(connections)}
  );
endmodule
"""


def _slices(vector: str, ports: list[tuple[int, str]]) -> list[str]:
    connections, first = [], 0
    for width, name in ports:
        space = " " if name.startswith("\\") else ""
        connections.append(f".{name}{space}({vector}[{first + width - 1}:{first}])")
        first += width
    return connections
