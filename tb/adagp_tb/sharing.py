"""Lets Verilator write the code of a repeated module once instead of once per instance.

It merges C++ functions whose text is equal. What makes those of two instances differ are numbered
names (of Verilog functions, tables and scoped data-flow optimisation) and signals of the parent in
the place of an input. Without them a 16 x 16 array compiles and runs in half the time.
"""

import re
from collections import Counter

OPTIONS = ["-fno-dfg-scoped", "-fno-table"]
"""Options of Verilator without which :func:`control` has no effect."""

_LEAST_INSTANCES = 4
_LEAST_LINES = 150

_MODULE = re.compile(r"^module (\S+?)\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\w+) \S+ +\($", re.MULTILINE)
_INPUT = re.compile(r"^  input (?:wire )?(?:\[\d+:0\] )?(\S+) ?;", re.MULTILINE)
_SELECTION = re.compile(
    r"^  function (?:\[(?P<high>\d+):0\] )?(?P<name>\S+) ?;\n.*?^  endfunction\n  assign (?P<target>[^\n]*) = (?P=name) ?\((?P<arguments>[^\n]*)\);\n",
    re.MULTILINE | re.DOTALL)


def control(verilog: str) -> str:
    """A control file for Verilator that keeps large repeated modules and their inputs apart."""
    modules = {match[1]: match[0] for match in _MODULE.finditer(verilog)}
    children = {name: Counter(child for child in _INSTANCE.findall(text) if child in modules)
                for name, text in modules.items()}
    lines = ["`verilator_config"]
    for name in _repeated(modules, children):
        lines.append(f'no_inline -module "{name}"')
        for port in _INPUT.findall(modules[name]):
            if port != "clk":
                lines.append(f'public_flat_rd -module "{name}" -var "{port.lstrip(chr(92)).replace("$", "?")}"')
    return "\n".join(lines) + "\n"


def _repeated(modules: dict[str, str], children: dict[str, Counter]) -> list[str]:
    """The outermost modules that are large and there several times."""
    found: list[str] = []

    def size(name: str) -> int:
        return modules[name].count("\n") + sum(count * size(child) for child, count in children[name].items())

    def visit(name: str) -> None:
        for child, count in children[name].items():
            if count >= _LEAST_INSTANCES and size(child) >= _LEAST_LINES:
                found.append(child)
            else:
                visit(child)

    inner = set().union(*children.values())
    for top in modules.keys() - inner:
        visit(top)
    return sorted(set(found))


def without_functions(verilog: str) -> str:
    """``verilog`` with Yosys's functions, which select one of several values, as expressions."""
    return _SELECTION.sub(_as_expression, verilog)


def _as_expression(match: re.Match) -> str:
    name, width = match["name"], int(match["high"] or 0) + 1
    default, values, selects = _split(match["arguments"])
    count = int(re.search(r"input \[(\d+):0\] s;", match[0])[1]) + 1
    choice = "".join(f"{name}s[{i}] ? {name}b[{i * width} +: {width}] : " for i in range(count))
    return (f"  wire [{count * width - 1}:0] {name}b = {values};\n  wire [{count - 1}:0] {name}s = {selects};\n"
            f"  assign {match['target']} = {choice}{default};\n")


def _split(arguments: str) -> list[str]:
    """The arguments of a call: commas outside of parentheses and braces part them."""
    parts, depth = [""], 0
    for character in arguments:
        depth += (character in "({") - (character in ")}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
