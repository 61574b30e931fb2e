"""Netlists of and-gates and registers, as they come from Yosys in AIGER's binary form, and what they do with given inputs."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """Literals are twice a variable, plus one where inverted; variable 0 is constant 0. Variables count inputs, then registers,
    then gates. ``registers`` and ``outputs`` are literals, ``gates`` pairs of them. Registers begin with 0."""

    inputs: int
    registers: tuple[int, ...]
    outputs: tuple[int, ...]
    gates: tuple[tuple[int, int], ...]
    output_names: dict[str, int]

    def run(self, stimuli):
        """For each of ``stimuli``, a sequence of input bits, the value of each literal (indexed by it) in that cycle."""
        state = [0] * len(self.registers)
        for bits in stimuli:
            if len(bits) != self.inputs:
                raise ValueError(f"a stimulus must have {self.inputs} bits, not {len(bits)}")
            values = [0, 1]
            for bit in (*bits, *state):
                values += (bit, 1 - bit)
            for a, b in self.gates:
                both = values[a] & values[b]
                values += (both, 1 - both)
            yield values
            state = [values[literal] for literal in self.registers]


def parse(content: bytes) -> Netlist:
    """Reads the binary form with names of outputs. ValueError if it is something else."""
    header, _, rest = content.partition(b"\n")
    fields = header.split()
    if len(fields) != 6 or fields[0] != b"aig":
        raise ValueError(f"an AIGER file must begin with 'aig' and five numbers, not {header[:40]!r}")
    variables, inputs, latches, outputs, ands = map(int, fields[1:])
    lines = rest.split(b"\n", latches + outputs)
    literals = tuple(int(line.split()[0]) for line in lines[:-1])
    body, gates, place = lines[-1], [], 0
    for i in range(ands):
        first, place = _number(body, place)
        second, place = _number(body, place)
        left = 2 * (variables - ands + 1 + i) - first
        gates.append((left, left - second))
    symbols = body[place:].decode("latin-1").split("\nc\n")[0]
    names = {name: int(index) for index, name in re.findall(r"^o(\d+) (.+)$", symbols, re.MULTILINE)}
    return Netlist(inputs=inputs, registers=literals[:latches], outputs=literals[latches:], gates=tuple(gates),
                   output_names=names)


def encoded(netlist: Netlist) -> list[bytes]:
    """The binary form without names: a file for each output."""
    inputs, registers, gates = netlist.inputs, len(netlist.registers), len(netlist.gates)
    header = b"aig %d %d %d 1 %d\n" % (inputs + registers + gates, inputs, registers, gates)
    header += b"".join(b"%d\n" % literal for literal in netlist.registers)
    body = bytearray()
    for variable, operands in enumerate(netlist.gates, inputs + registers + 1):
        low, high = sorted(operands)
        body += _encoded(2 * variable - high) + _encoded(high - low)
    return [header + b"%d\n" % output + body for output in netlist.outputs]


def any_of(netlist: Netlist, outputs: list[int]) -> Netlist:
    """With one output in the place of all, which is high where one of ``outputs`` (numbers) is."""
    gates, add = _adder(netlist)
    none = 1
    for output in outputs:
        none = add(none, netlist.outputs[output] ^ 1)
    return replace(netlist, gates=tuple(gates), outputs=(none ^ 1,), output_names={})


def firsts_of(netlist: Netlist, outputs: list[int]) -> Netlist:
    """With an output for each of ``outputs`` (numbers), which is high where that one is and none of them has been before."""
    limit = 2 * (1 + netlist.inputs + len(netlist.registers))  # the new register stands before the gates

    def moved(literal: int) -> int:
        return literal if literal < limit else literal + 2

    shifted = replace(netlist, registers=(*map(moved, netlist.registers), 0), outputs=tuple(map(moved, netlist.outputs)),
                      gates=tuple((moved(a), moved(b)) for a, b in netlist.gates))
    gates, add = _adder(shifted)
    none = limit ^ 1
    for output in outputs:
        none = add(none, shifted.outputs[output] ^ 1)
    firsts = tuple(add(limit ^ 1, shifted.outputs[output]) for output in outputs)
    return replace(shifted, registers=(*shifted.registers[:-1], none ^ 1), gates=tuple(gates), outputs=firsts, output_names={})


def _adder(netlist: Netlist):
    """The gates as a list, and a function that adds one and returns its literal."""
    gates, before = list(netlist.gates), netlist.inputs + len(netlist.registers)

    def add(a: int, b: int) -> int:
        gates.append((a, b))
        return 2 * (before + len(gates))

    return gates, add


def _number(body: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, lowest first, and where the next one begins."""
    value = shift = 0
    while True:
        byte = body[place]
        value |= (byte & 0x7F) << shift
        shift, place = shift + 7, place + 1
        if byte < 0x80:
            return value, place


def words(symbol_map: str) -> dict[str, dict[int, tuple[str, int]]]:
    """The words of Yosys' map of names (``write_aiger -vmap``): for each the bits by their place, as kind and index."""
    named = defaultdict(dict)
    for line in symbol_map.splitlines():
        kind, *numbers, name = line.split()
        if kind in ("input", "output", "latch", "wire"):
            named[name][int(numbers[1])] = (kind, int(numbers[0]))
    return named


def _encoded(value: int) -> bytes:
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
