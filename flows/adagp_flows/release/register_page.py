"""The register map as one HTML page that needs nothing else: no server, no script, no font."""

import re
from html import escape

from adagp.spec.isa import Engine, FaultCause, Pass
from adagp.spec.registers import REGISTERS, Field, Register
from adagp.spec.schedule import Phase

_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; width: 100%; margin: .5em 0 2em; }
th, td { border: 1px solid #bbb; padding: .25em .6em; text-align: left; vertical-align: top; }
th { background: #eee; } td:first-child { white-space: nowrap; } code { font-size: 14px; }
"""

_NUMBERS = (("Causes of faults", FaultCause), ("Phases", Phase), ("Passes of PASS_CYCLES and PASS_MACS", Pass),
            ("Engines of BUSY", Engine))


def page(title: str) -> str:
    """The text of the page."""
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
            f"<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{content()}</body>\n</html>\n")


def content() -> str:
    """What the page holds under its title: headings from the second level on, paragraphs and tables."""
    groups: dict[str, list[Register]] = {}
    for register in REGISTERS.values():
        groups.setdefault(_general(register.path), []).append(register)
    overview = "".join(f'<tr><td><code>{_offset(members)}</code></td><td><a href="#{escape(path)}">{escape(path)}</a></td>'
                       f"<td>{escape(_title(path, members[0]))}</td></tr>\n" for path, members in groups.items())
    details = "".join(_section(path, members) for path, members in groups.items())
    numbers = "".join(f"<h3>{heading}</h3>\n<table>" + "".join(
        f"<tr><td>{each.value}</td><td>{each.name}</td></tr>" for each in kind) + "</table>\n" for heading, kind in _NUMBERS)
    return ("<p>All registers are 32 bits wide, little-endian, on the AXI4-Lite interface <code>s_axil</code>. A 64-bit "
            "counter is a LO and a HI register; reading LO keeps the HI that belongs to it until the next LO is read."
            "</p>\n"
            f"<table><tr><th>Offset</th><th>Register</th><th></th></tr>\n{overview}</table>\n{details}"
            f"<h2>Numbers</h2>\n{numbers}")


def _section(path: str, members: list[Register]) -> str:
    rows = "".join(_row(field) for field in reversed(members[0].fields))
    return (f'<h2 id="{escape(path)}">{escape(path)} <code>{_offset(members)}</code></h2>\n'
            f"<p>{escape(_title(path, members[0]))}</p>\n"
            f"<table><tr><th>Bits</th><th>Field</th><th>Access</th><th>Reset</th><th></th></tr>\n{rows}</table>\n")


def _row(field: Field) -> str:
    bits = str(field.lsb) if field.width == 1 else f"{field.lsb + field.width - 1}:{field.lsb}"
    access = "read, write 1 to clear" if field.woclr else "pulse when 1 is written" if field.singlepulse else {
        "r": "read", "w": "write", "rw": "read, write"}[field.software]
    reset = f"{field.reset:#x}" if field.reset else "0" if "w" in field.software or field.hardware == "na" else ""
    cells = (bits, field.name, access, reset, field.description)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>\n"


def _general(path: str) -> str:
    """The path without the numbers in it: registers that are alike are described once."""
    return re.sub(r"\[\d+\]", "[]", path)


def _offset(members: list[Register]) -> str:
    first, last = members[0].offset, members[-1].offset
    if len(members) == 1:
        return f"0x{first:03x}"
    return f"0x{first:03x} + 0x{(last - first) // (len(members) - 1):x}·i, i &lt; {len(members)}"


def _title(path: str, register: Register) -> str:
    name = path.rpartition(".")[2].removesuffix("[]")
    return "" if register.title == name else register.title
