"""Trees of buffers for nets with many loads. ABC makes none for what ports and registers drive."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

BUFFER = "BUFX4"

FANOUT = 12
"""Loads of a net, and of a buffer."""

PORT_FANOUT = 4
"""Loads of an input port: what drives it does not know of them."""

_CELL = re.compile(r"  (\w+) \S.*\($")
_PIN = re.compile(r"    \.(\w+)\(([\\A-Za-z_]\S*) ?\)")
_INPUT = re.compile(r"  input (\S+) ?;")


def buffered(module: str, loads: Mapping[str, Set[str]]) -> str:
    """The one module of the netlist ``module``, as Yosys writes it, with buffers between each net and its loads, where
    it has too many. ``loads``: the pins of each kind of cell that count."""
    lines = module.splitlines()
    found: dict[str, list[int]] = defaultdict(list)
    ports, kind = set(), ""
    for number, line in enumerate(lines):
        if cell := _CELL.match(line):
            kind = cell[1]
        elif port := _INPUT.match(line):
            ports.add(port[1])
        elif (pin := _PIN.match(line)) and pin[1] in loads.get(kind, ()):
            found[pin[2]].append(number)
    added: list[str] = []
    for net, numbers in found.items():
        for number, source in zip(numbers, _tree(net, len(numbers), PORT_FANOUT if net in ports else FANOUT, added)):
            pin = _PIN.match(lines[number])
            lines[number] = f"    .{pin[1]}({_reference(source)}){lines[number][pin.end():]}"
    end = max(number for number, line in enumerate(lines) if line.startswith("endmodule"))
    return "\n".join([*lines[:end], *added, *lines[end:], ""])


def _tree(net: str, loads: int, limit: int, added: list[str]) -> Sequence[str]:
    """The net for each of ``loads`` loads of ``net``, with the buffers ``added`` to the module."""
    if loads <= limit:
        return [net] * loads
    count = -(-loads // FANOUT)
    outputs = []
    for source in _tree(net, count, limit, added):
        outputs.append(f"_buffered{len(added)}_")
        added.append(f"  wire {outputs[-1]};\n  {BUFFER} _buffer{len(added)}_ (\n    .A({_reference(source)}),\n    .Y({outputs[-1]})\n  );")
    return [outputs[load * count // loads] for load in range(loads)]


def _reference(net: str) -> str:
    return f"{net} " if net.startswith("\\") else net
