"""The LiteX example of a release as a system to simulate: what :mod:`.build` does for the system in plain Verilog."""

import os
import re
import subprocess
import sys
from pathlib import Path

from adagp_tb import verilator

from . import build

WRAPPER = build.FOLDER / "litex_system.v"
BOARD = build.FIRMWARE / "litex"


def elaborate(release: Path, folder: Path) -> None:
    """Lets the example of ``release`` write its Verilog and headers to ``folder``, by a Python that finds LiteX but not
    this project's sources; raises :class:`adagp_tb.verilator.BuildError`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # the release stays as it is
    result = subprocess.run([sys.executable, release.resolve() / "litex/example_soc.py", folder.resolve()], cwd=release.parent,
                            env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise verilator.BuildError(f"the LiteX example fails:\n{result.stderr[-4000:]}")


def sources(folder: Path) -> list[Path]:
    """The Verilog files of the system that was elaborated to ``folder``; its own first."""
    return [Path(folder, line) for line in (folder / "sources.txt").read_text().splitlines()]


def simulator(folder: Path) -> Path:
    """The compiled system, from the cache if it is there; raises :class:`adagp_tb.verilator.BuildError`."""
    texts = [source.read_text() for source in (*sources(folder), WRAPPER)]
    texts[0] = re.sub(r"\$readmemh\(.*?\);", ";", texts[0])  # files in the present folder; the wrapper has its own
    return verilator.build("\n".join(texts), build.FOLDER / "simulation.cpp", top="system")


def firmware(release: Path, folder: Path, *, batches: int) -> Path:
    """As :func:`.build.firmware`, for the system that was elaborated to ``folder``."""
    return build.firmware(release, folder / "firmware", batches=batches, board=BOARD, headers=folder)
