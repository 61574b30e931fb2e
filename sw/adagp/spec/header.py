"""The C header ``adagp_registers.h``: the register map and the numbers that its registers hold."""

import re
import textwrap
from collections import defaultdict
from enum import IntEnum

from .config import Design
from .isa import Engine, FaultCause, Pass
from .registers import REGISTERS, Field, Register
from .schedule import Phase

FILE = "adagp_registers.h"
ENUMERATIONS: dict[str, type[IntEnum]] = {
    "FAULT": FaultCause, "PHASE": Phase, "PASS": Pass, "ENGINE": Engine, "DESIGN": Design}
"""What the names of the members begin with in C, behind ``ADAGP_``."""

_INTRODUCTION = """\
/* Registers of the ADA-GP accelerator, made from its SystemRDL description. C99, C++.
 *
 * ADAGP_<REGISTER>_OFFSET           byte offset; of an array of registers with the index as argument
 * ADAGP_<ARRAY>_COUNT               registers, or groups of them, in an array
 * ADAGP_<REGISTER>_RESET            value after a reset, or always of one that software only reads, where not 0
 * ADAGP_<REGISTER>_<FIELD>_MASK     bits of a field that is not the whole register
 * ADAGP_<REGISTER>_<FIELD>_SHIFT    number of its lowest bit
 */
#ifndef ADAGP_REGISTERS_H
#define ADAGP_REGISTERS_H
"""


def header() -> str:
    """The text of :data:`FILE`; the same for the same register map and instruction set."""
    groups: dict[str, list[Register]] = defaultdict(list)
    for path, register in REGISTERS.items():
        groups[re.sub(r"\[\d+\]", "[]", path)].append(register)
    versions = [_define(f"ADAGP_{field.name.upper()}_VERSION", f"{field.reset}u")
                for field in REGISTERS["INTERFACE"].fields]
    arrays = {path.split("[")[0]: len(group) for path, group in groups.items() if "[" in path}
    blocks = [
        ["/* What this header describes; the register INTERFACE says the same of a core. */", *versions],
        [_define(f"ADAGP_{name}_COUNT", f"{count}u") for name, count in arrays.items()],
        *(_registers(path, group) for path, group in groups.items()),
        *([_define(f"ADAGP_{prefix}_{member.name}", f"{member.value}u") for member in members]
          for prefix, members in ENUMERATIONS.items())]
    return _INTRODUCTION + "".join("\n" + "\n".join(block) + "\n" for block in blocks) + "\n#endif\n"


def _registers(path: str, group: list[Register]) -> list[str]:
    """One register, or all of the same name in an array."""
    first = group[0]
    name = "ADAGP_" + path.replace("[]", "").replace(".", "_")
    offset = f"0x{first.offset:03X}u"
    if len(group) > 1:
        step = group[1].offset - first.offset
        assert [each.offset for each in group] == [first.offset + step * i for i in range(len(group))], path
        lines = [_define(f"{name}_OFFSET(i)", f"({offset} + {step}u * (i))")]
    else:
        lines = [_define(f"{name}_OFFSET", offset)]
    if reset := sum(field.reset << field.lsb for field in first.fields):
        lines.append(_define(f"{name}_RESET", f"0x{reset:08X}u"))
    for field in first.fields:
        if field.width < 32:
            lines += [_define(f"{name}_{field.name.upper()}_MASK", f"0x{field.mask:08X}u"),
                      _define(f"{name}_{field.name.upper()}_SHIFT", f"{field.lsb}u")]
    return [*_comment(path, first), *lines]


def _comment(path: str, register: Register) -> list[str]:
    title = "" if register.title == path.split(".")[-1] or path.startswith(register.title) else f"{register.title}. "
    access = "read and cleared by writing ones" if register.fields[0].woclr else {
        "r": "read only", "w": "write only", "rw": "read and write"}[register.fields[0].software]
    text = f"{path}: {title}{access.capitalize()}.{''.join(map(_described, register.fields))}"
    return textwrap.wrap(text, 110, initial_indent="/* ", subsequent_indent=" * ")[:-1] + [
        textwrap.wrap(text, 110, initial_indent="/* ", subsequent_indent=" * ")[-1] + " */"]


def _described(field: Field) -> str:
    if not field.description:
        return ""
    return f" {field.description}" if field.width == 32 else f" {field.name}: {field.description}"


def _define(name: str, value: str) -> str:
    return f"#define {name:<47} {value}"
