"""Paths through a netlist that no register interrupts."""

from collections import defaultdict, deque
from dataclasses import dataclass

_REGISTERS = {"$dff", "$dffe", "$sdff", "$sdffe", "$sdffce"}  # without an asynchronous input
_BITWISE = {"$not", "$pos", "$and", "$or", "$xor", "$xnor", "$mux", "$bwmux"}  # bit i depends on bit i of A and B
_ANYWHERE = {  # every bit may depend on every bit
    "$add", "$sub", "$mul", "$neg", "$alu", "$lcu", "$eq", "$ne", "$eqx", "$nex", "$lt", "$le", "$ge", "$gt", "$shl", "$shr",
    "$sshl", "$sshr", "$shift", "$shiftx", "$logic_not", "$logic_and", "$logic_or", "$reduce_and", "$reduce_or",
    "$reduce_xor", "$reduce_xnor", "$reduce_bool", "$div", "$mod", "$divfloor", "$modfloor", "$bmux", "$demux"}
_NOTHING = {"$scopeinfo", "$memwr_v2", "$meminit_v2", "$memwr", "$meminit"}  # nothing comes out


class UnknownCell(ValueError):
    """The netlist has a cell of which it is not known what its outputs depend on."""


@dataclass(frozen=True)
class Path:
    """From a bit of an input port to one of an output port, through ``cells`` (at least one path of possibly many)."""

    source: str
    sink: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.source} -> {self.sink} through {', '.join(self.cells) or 'a wire'}"


def combinational_paths(netlist: dict, top: str) -> list[Path]:
    """One shortest path for each input and output bit of ``top`` between which no register lies.

    ``netlist`` is what Yosys' ``write_json`` says of a flattened design. Which bits of a word a bit depends on is exact for
    multiplexers and bitwise logic; elsewhere a bit depends on all of its cell's inputs, so a path may be one that
    no value takes, but none is missed.
    """
    module = netlist["modules"][top]
    reaches = _drivers(module)
    names = {bit: f"{name}[{i}]" if len(port["bits"]) > 1 else name for name, port in module["ports"].items()
             if port["direction"] == "input" for i, bit in enumerate(port["bits"])}
    return [path for name, port in module["ports"].items() if port["direction"] == "output"
            for i, bit in enumerate(port["bits"])
            for path in _back_to_inputs(bit, f"{name}[{i}]" if len(port["bits"]) > 1 else name, reaches, names)]


def _drivers(module: dict) -> dict[int, list[tuple[int, str]]]:
    """For each bit the bits that it follows within a cycle, and the cell between."""
    reaches = defaultdict(list)
    for name, cell in module["cells"].items():
        for output, inputs in _dependencies(name, cell):
            reaches[output] += [(bit, name) for bit in inputs if isinstance(bit, int)]
    return reaches


def _dependencies(name: str, cell: dict):
    """Pairs of an output bit of ``cell`` and the input bits that it depends on within the cycle."""
    kind, pins = cell["type"], cell["connections"]
    if kind in _REGISTERS or kind in _NOTHING:
        return
    if kind in ("$memrd", "$memrd_v2"):
        if int(cell["parameters"]["CLK_ENABLE"], 2) == 0:
            for bit in pins["DATA"]:
                yield bit, pins["ADDR"]
    elif kind in _BITWISE:
        for i, bit in enumerate(pins["Y"]):
            # an operand that is shorter is extended by its last bit or by zeros
            operands = [pins[pin][min(i, len(pins[pin]) - 1)] for pin in ("A", "B") if pin in pins]
            yield bit, operands + (pins["S"][i:i + 1] if kind == "$bwmux" else pins.get("S", []))
    elif kind == "$pmux":
        width = len(pins["Y"])
        for i, bit in enumerate(pins["Y"]):
            yield bit, [pins["A"][i], *pins["B"][i::width], *pins["S"]]
    elif kind in _ANYWHERE:
        outputs = [pin for pin, direction in cell["port_directions"].items() if direction == "output"]
        inputs = [bit for pin, direction in cell["port_directions"].items() if direction == "input" for bit in pins[pin]]
        for pin in outputs:
            for bit in pins[pin]:
                yield bit, inputs
    else:
        raise UnknownCell(f"cell {name} must be one of Yosys' word-level cells without asynchronous inputs, not {kind}")


def _back_to_inputs(sink: int, sink_name: str, reaches, names) -> list[Path]:
    """A breadth-first walk from ``sink`` against the direction of the signals."""
    came_from, waiting, found = {sink: None}, deque([sink]), []
    while waiting:
        bit = waiting.popleft()
        if bit in names:
            cells, here = [], bit
            while came_from[here]:
                here, cell = came_from[here]
                cells.append(cell)
            found.append(Path(names[bit], sink_name, tuple(cells)))
        for source, cell in reaches.get(bit, ()):
            if source not in came_from:
                came_from[source] = (bit, cell)
                waiting.append(source)
    return found
