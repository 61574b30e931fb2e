"""Netlists of and-gates and registers, as they come from Yosys in AIGER's binary form, and what they do with given inputs."""

import re
from collections import defaultdict
from dataclasses import dataclass


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


def any_of(content: bytes, outputs: list[int]) -> bytes:
    """The file ``content`` with one output in the place of all, which is high where one of ``outputs`` (numbers) is."""
    netlist = parse(content)
    header, _, rest = content.partition(b"\n")
    variables, inputs, latches, count, ands = map(int, header.split()[1:])
    lines = rest.split(b"\n", latches + count)
    end = 0
    for _ in range(2 * ands):
        _, end = _number(lines[-1], end)
    body, result = bytearray(lines[-1][:end]), 0
    for output in outputs:
        variables, ands = variables + 1, ands + 1
        operands = sorted((result ^ 1, netlist.outputs[output] ^ 1), reverse=True)
        body += _encoded(2 * variables - operands[0]) + _encoded(operands[0] - operands[1])
        result = 2 * variables + 1
    return b"\n".join([b"aig %d %d %d 1 %d" % (variables, inputs, latches, ands), *lines[:latches], b"%d" % result, bytes(body)])


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
