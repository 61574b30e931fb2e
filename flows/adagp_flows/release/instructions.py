"""The reference of the instruction set, in Markdown, from :mod:`adagp.spec.isa` itself."""

import inspect
import re
from enum import IntEnum

from adagp.spec import isa

_CODES: tuple[type[IntEnum], ...] = (isa.Opcode, isa.Engine, isa.Memory, isa.Format, isa.Function, isa.Multiplier,
                                     isa.Addend, isa.Pass, isa.FaultCause)


def reference(version: str) -> str:
    """The text: what all instructions share, each with its encoding and meaning, and the numbers of all names."""
    parts = [f"# Instruction set, version {version}", _text(isa.__doc__.partition("\n\n")[2]),
             f"A counter of tokens holds at most {isa.TOKEN_LIMIT}; one more is a TOKEN fault.", "## Instructions"]
    for opcode, kind in isa.INSTRUCTIONS.items():
        parts += [f"### {kind.__name__}", _encoding(opcode), _text(kind.__doc__)]
    parts.append("## Numbers")
    for codes in _CODES:
        parts += [f"### {codes.__name__}", "| number | name |\n|---|---|\n" + "\n".join(
            f"| {code.value} | {code.name} |" for code in codes)]
    return "\n\n".join(parts) + "\n"


def encoding(opcode: isa.Opcode) -> dict[str, tuple[int, int]]:
    """Field → (lowest bit, width), from bit 0 of the instruction upwards."""
    places, position = {}, 0
    for name, width in (isa.HEADER | isa.FIELDS[opcode]).items():
        places[name] = position, width
        position += width
    return places


def _encoding(opcode: isa.Opcode) -> str:
    rows = [f"Opcode {opcode.value}. Bits that are in no field should be 0.", "", "| bits | field |", "|---|---|"]
    for name, (lsb, width) in encoding(opcode).items():
        rows.append(f"| {lsb if width == 1 else f'{lsb + width - 1}:{lsb}'} | {name} |")
    return "\n".join(rows)


def _text(docstring: str) -> str:
    """A docstring as Markdown: roles become names, the colons before an indented block one."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.cleandoc(docstring)).replace("``", "`")
    text = re.sub(r"2\*\*(\d+)", r"2^\1", text)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE)
