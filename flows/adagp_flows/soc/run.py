"""Runs the firmware on the simulated system, and compares the memory that it leaves with the golden machine's."""

import argparse
import ctypes
import json
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from adagp.compiler import CompileError
from adagp.files import replace_file
from adagp.golden import GoldenMachine
from adagp.spec.config import PRESETS, AcceleratorConfig, Design
from adagp.spec.schedule import Phase
from adagp_flows.release.package import package
from adagp_tb.verilator import BuildError

from . import build, litex_system

FOLDER = Path("build/soc")
BATCHES = 12
IMAGE = 0x1_0040
"""Where the firmware puts the image, from the begin of the external memory on."""

FLASH_WORDS = 1 << 17
"""Of 32 bits, in ``system.v``."""

_LINE = 9  # characters of a word in a .hex file
_LIMIT = 200_000_000
_CHUNK = 1 << 18  # cycles between two looks at the console
_STATES = "runs", "halted", "trapped", "broke a rule of the bus or met an error on it"
_HALTED = _STATES.index("halted")
_PASSES = 4
_PHASES = {"warm-up": Phase.WARMUP, "BP": Phase.BP, "GP": Phase.GP}


class SystemFailure(Exception):
    """The system did not do as it should; the text says what, and what the firmware said."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the firmware wrote to its console, its exit code, clock cycles from reset to exit, and the external memory
    as bytes."""

    console: str
    exit_code: int
    cycles: int
    memory: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One of the two runs of batches. ``batches`` are by phase; ``changed_words`` are those of parameters and their
    state that are not as in the image; ``cycles`` of the accelerator are 0 on the golden machine, which has no time."""

    name: str
    batches: dict[str, int]
    macs: int
    changed_words: int
    cycles: int = 0


def simulate(library: Path, program: Path, image: Path, *, limit: int = _LIMIT,
             echo: Callable[[str], None] | None = None) -> Outcome:
    """Runs ``program`` on a simulator of :mod:`.build` or :mod:`.litex_system` with ``image`` in its flash, both as ``.hex``, until the firmware
    ends. ``echo`` gets the console's text as it comes. Raises :class:`SystemFailure` where it does not end within
    ``limit`` cycles, or the processor traps, or a rule of the bus is broken, or the flash is too small."""
    if (size := image.stat().st_size // _LINE) > FLASH_WORDS:
        raise SystemFailure(f"an image must be at most {FLASH_WORDS} words long, not {size}")
    functions = _functions(library)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "memory.hex")
        words = [b"system", *(f"+{name}={path}".encode() for name, path in (
            ("firmware", program), ("image", image), ("result", result)))]
        system = functions.system_create(len(words), (ctypes.c_char_p * len(words))(*words))
        try:
            state, console = 0, ""
            while state == 0 and functions.system_cycles(system) < limit:
                state = functions.system_run(system, min(_CHUNK, limit - functions.system_cycles(system)))
                before, console = console, functions.system_console(system).decode(errors="replace")
                if echo and console != before:
                    echo(console[len(before):])
            cycles = functions.system_cycles(system)
            if state != _HALTED:
                raise SystemFailure(f"the system {_STATES[state]} after {cycles} cycles; its console: {console!r}")
            return Outcome(console=console, exit_code=functions.system_exit_code(system), cycles=cycles,
                           memory=_words(result))
        finally:
            functions.system_destroy(system)


def _verilog(release: Path, folder: Path, batches: int) -> tuple[Path, Path]:
    return build.simulator(release), build.firmware(release, folder, batches=batches)


def _litex(release: Path, folder: Path, batches: int) -> tuple[Path, Path]:
    litex_system.elaborate(release, folder)
    return litex_system.simulator(folder), litex_system.firmware(release, folder, batches=batches)


SYSTEMS = {"verilog": _verilog, "litex": _litex}
"""Release, folder for files and batches → simulator and firmware, by name of the system."""


def golden(config: AcceleratorConfig, release: Path, batches: int) -> tuple[np.ndarray, list[TrainingRun]]:
    """The image's memory after two runs of ``batches`` batches on the golden machine, which also checks that
    the programs have no races, and the runs, with no cycles. Registers are set as the bench of ``release`` does."""
    contents = np.fromfile(release / "image/image.bin", np.uint8)
    machine = GoldenMachine(config, contents.size, check=True)
    machine.memory[:] = contents
    for value, register in re.findall(r"^00000001_\w{8}_(\w{8})_\w{8} // write (\S+)$",
                                      (release / "image/run.hex").read_text(), re.MULTILINE):
        if register not in ("CONTROL", "INTERRUPT_ENABLE", "INTERRUPT_PENDING"):
            machine.write(register, int(value, 16))
    machine.write("BATCHES", batches)
    state = machine.read("PROGRAM[0].ADDRESS")
    before, runs = _counters(machine), []
    for name in ("polling", "interrupt"):
        machine.run()
        after = _counters(machine)
        counted = {key: after[key] - before[key] for key in after}
        changed = (machine.memory[:state].view("<u4") != contents[:state].view("<u4")).sum()
        runs.append(TrainingRun(name=name, macs=counted.pop("macs"), batches=counted, changed_words=int(changed)))
        before = after
    return machine.memory, runs


def reports(console: str) -> list[TrainingRun]:
    """What the firmware reports of its runs."""
    pattern = r"^(\w+): warm-up (\d+), BP (\d+), GP (\d+) batches; MACs (\d+); changed words (\d+); cycles (\d+)$"
    return [TrainingRun(name=name, batches=dict(zip(_PHASES, map(int, batches), strict=True)), macs=int(macs),
                        changed_words=int(changed), cycles=int(cycles))
            for name, *batches, macs, changed, cycles in re.findall(pattern, console, re.MULTILINE)]


def check(outcome: Outcome, memory: np.ndarray, expected: list[TrainingRun]) -> list[TrainingRun]:
    """The firmware's runs. Raises :class:`SystemFailure` unless it ended well, its reports are as ``expected`` but
    for the cycles, and the external memory holds ``memory`` at :data:`IMAGE` and zeros elsewhere: the firmware tests
    some of it, and leaves zeros."""
    if outcome.exit_code:
        raise SystemFailure(f"the firmware ended with exit code {outcome.exit_code}: {outcome.console!r}")
    reported = reports(outcome.console)
    if (timeless := [replace(each, cycles=0) for each in reported]) != expected:
        raise SystemFailure(f"the firmware reports {timeless}, the golden machine {expected}")
    whole = np.zeros_like(outcome.memory)
    whole[IMAGE:IMAGE + memory.size] = memory
    if (wrong := np.flatnonzero(outcome.memory != whole)).size:
        raise SystemFailure(f"{wrong.size} bytes of memory differ, the first at {wrong[0]:#x}: "
                            f"{outcome.memory[wrong[0]]:#04x}, not {whole[wrong[0]]:#04x}")
    return reported


def run(config: AcceleratorConfig, *, system: str = "verilog", batches: int = BATCHES,
        echo: Callable[[str], None] | None = None) -> dict:
    """Packages ``config``, builds ``system`` (of :data:`SYSTEMS`) and firmware, runs and checks them; the facts for the
    report."""
    with tempfile.TemporaryDirectory() as folder:
        release = Path(folder, "release")
        package(config, release)
        library, program = SYSTEMS[system](release, Path(folder, "system"), batches)
        outcome = simulate(library, program, release / "image/image.hex", echo=echo)
        reported = check(outcome, *golden(config, release, batches))
    return {"cycles": outcome.cycles, "runs": [asdict(training) for training in reported],
            "console": outcome.console.splitlines()}


def main(arguments: list[str] | None = None) -> None:
    """``python -m adagp_flows.soc.run``: all designs; report in build/soc. Exits with 1 at the first failure."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    names = [design.name.lower() for design in Design]
    parser.add_argument("--designs", nargs="+", choices=names, default=names)
    parser.add_argument("--system", choices=SYSTEMS, default="verilog", help="(default: %(default)s)")
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="sizes (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=BATCHES, help="of each run (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.batches < 1:
        parser.error(f"--batches must be at least 1, not {options.batches}")
    report = {"system": options.system, "preset": options.preset, "batches": options.batches, "designs": {}}
    for name in options.designs:
        print(f"== {name}", flush=True)
        config = PRESETS[options.preset].with_design(Design[name.upper()])
        try:
            facts = run(config, system=options.system, batches=options.batches, echo=lambda text: print(text, end="", flush=True))
        except (BuildError, CompileError, SystemFailure) as failure:
            sys.exit(f"{name}: {failure}")
        report["designs"][name] = facts
        print(f"every bit as on the golden machine; {facts['cycles']} clock cycles", flush=True)
    replace_file(FOLDER / "report.json", lambda path: path.write_text(json.dumps(report, indent=2) + "\n"))


def _counters(machine: GoldenMachine) -> dict[str, int]:
    return {name: machine.counter(f"PHASE_BATCHES[{phase.value}]") for name, phase in _PHASES.items()} | {
        "macs": sum(machine.counter(f"PASS_MACS[{index}]") for index in range(_PASSES))}


def _words(file: Path) -> np.ndarray:
    """The bytes of a memory that ``$writememh`` has written."""
    lines = (line for line in file.read_text().split("\n") if line and line[0] not in "@/")
    return np.array([int(line, 16) for line in lines], "<u4").view(np.uint8)


@cache
def _functions(library: Path) -> ctypes.CDLL:
    functions = ctypes.CDLL(str(library))
    functions.system_create.restype = ctypes.c_void_p
    functions.system_create.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    functions.system_destroy.argtypes = [ctypes.c_void_p]
    functions.system_run.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
    functions.system_cycles.restype = ctypes.c_uint64
    functions.system_cycles.argtypes = [ctypes.c_void_p]
    functions.system_exit_code.restype = ctypes.c_uint32
    functions.system_exit_code.argtypes = [ctypes.c_void_p]
    functions.system_console.restype = ctypes.c_char_p
    functions.system_console.argtypes = [ctypes.c_void_p]
    return functions


if __name__ == "__main__":
    main()
