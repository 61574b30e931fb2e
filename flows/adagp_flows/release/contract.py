"""What users of a release build on, as a record, and whether it changed without its version.

``python -m adagp_flows.release.contract FILE`` writes the record of the present sources to FILE, unless a part
of the record there has changed and its version has not.
"""

import json
import sys
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path

from adagp.files import replace_file
from adagp.spec import isa
from adagp.spec.config import Design, preset
from adagp.spec.registers import REGISTERS, Field
from adagp.spec.schedule import Phase

from .instructions import encoding
from .ports import ports

VERSIONS = {"ports": "adagp", "registers": "register_map", "instructions": "instruction_set", "numbers": "instruction_set"}
"""The version that stands for each part of a record."""

_NUMBERS: tuple[type[IntEnum], ...] = (isa.Opcode, isa.Engine, isa.Memory, isa.Format, isa.Function, isa.Multiplier,
                                       isa.Addend, isa.Pass, isa.FaultCause, Phase)


def record(verilog: str) -> dict[str, dict]:
    """``versions``, and each part of :data:`VERSIONS` as name → description. ``verilog`` is the generated file."""
    interface = {each.name: each.reset for each in REGISTERS["INTERFACE"].fields}
    return {
        "versions": {"adagp": version("adagp"), **interface},
        "ports": {port.name: f"{'output' if port.output else 'input'}, {port.width} bits" for port in ports(verilog)},
        "registers": {f"{path}.{each.name}": f"0x{register.offset:03x}, {_described(path, each)}"
                      for path, register in REGISTERS.items() for each in register.fields},
        "instructions": {f"{kind.__name__}.{name}": f"bits {lsb + width - 1}:{lsb}"
                         for opcode, kind in isa.INSTRUCTIONS.items() for name, (lsb, width) in encoding(opcode).items()},
        "numbers": {f"{kind.__name__}.{each.name}": str(each.value) for kind in _NUMBERS for each in kind}}


def breaches(before: dict[str, dict], now: dict[str, dict]) -> list[str]:
    """A line for each name of ``before`` or ``now`` that changed while the version of its part did not."""
    lines = []
    for part, name in VERSIONS.items():
        if before["versions"][name] != now["versions"][name]:
            continue
        for item in sorted(before[part].keys() | now[part].keys()):
            was, becomes = (each[part].get(item, "not there") for each in (before, now))
            if was != becomes:
                lines.append(f"{part}: {item} was {was} and is {becomes}, but version {name} is still {now['versions'][name]}")
    return lines


def _described(path: str, each: Field) -> str:
    """The reset values of INTERFACE are versions themselves."""
    kind = "write 1 to clear" if each.woclr else "pulse" if each.singlepulse else each.software
    return f"bits {each.lsb + each.width - 1}:{each.lsb}, {kind}" + ("" if path == "INTERFACE" else f", reset {each.reset:#x}")


def main(arguments: list[str]) -> int:
    from adagp_hdl.verilog import generate

    file = Path(arguments[0])
    now = record(generate(preset("tiny").with_design(Design.MAX)))
    if file.exists() and (lines := breaches(json.loads(file.read_text()), now)):
        print("\n".join(lines), file=sys.stderr)
        return 1
    replace_file(file, lambda partial: partial.write_text(json.dumps(now, indent=1) + "\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
