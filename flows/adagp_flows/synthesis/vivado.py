"""AMD's Vivado through edalize's flow: a project, its reports after place and route, and what they say.

Where Vivado is missing, the project is written all the same, for a machine that has it, and tried with a stand-in.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edalize.flows import vivado as edalize_vivado

from . import jobs
from .results import Xc7
from .subject import Verilog
from .tools import MissingTool, find

PART = "xc7vx485tffg1761-2"
"""The device of a VC707."""

CONSTRAINTS = Path(__file__).resolve().parents[3] / "constraints" / "vc707.xdc"
"""Clock and exceptions of the machine out of context."""

_STANDIN = Path(__file__).with_name("vivado_standin.py")

MAKEFILE = "vivado.mk"
REPORTS = ("utilization.rpt", "timing.rpt", "power.rpt")

_NAME = "machine"
BITSTREAM = f"{_NAME}.bit"

_OUT_OF_CONTEXT = """\
# Ports of the top stay without pads: the machine is a part of a system.
set_property -name {STEPS.SYNTH_DESIGN.ARGS.MORE OPTIONS} -value {-mode out_of_context} -objects [get_runs synth_1]
"""

_ROUTE = """\
proc finish {run} {
    if {[get_property PROGRESS [get_runs $run]] != "100%"} {
        launch_runs $run
        wait_on_run $run
    }
    if {[get_property PROGRESS [get_runs $run]] != "100%"} {
        puts "ERROR: $run ended with: [get_property STATUS [get_runs $run]]"
        exit 1
    }
}
finish synth_1
finish impl_1
"""

_REPORT = """\
open_run impl_1
report_utilization -file utilization.rpt
report_utilization -hierarchical -file hierarchy.rpt
report_timing_summary -max_paths 10 -file timing.rpt
report_power -file power.rpt
"""


class ReportError(ValueError):
    """A report of Vivado lacks what is looked for."""


class ProjectError(ValueError):
    """A project that Vivado would not take; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """Files by name; ``make -f vivado.mk`` among them runs Vivado on ``part``, which writes ``outputs``."""

    part: str
    files: Mapping[str, str]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """``fmax_mhz``: the frequency that the clock of the worst setup path could have. ``hold_slack_ns``: of the worst path."""

    fmax_mhz: float
    hold_slack_ns: float


class _Flow(edalize_vivado.Vivado):
    """Edalize's flow, but what it makes are the reports, after a bitstream only if there is to be one."""

    def configure_flow(self, flow_options):
        graph = super().configure_flow(flow_options)
        scripts = [f"{_NAME}_synth.tcl", f"{_NAME}_run.tcl" if self.edam["bitstream"] else "route.tcl", "report.tcl"]
        self.commands.add(["vivado", "-notrace", "-mode", "batch", "-source", *scripts, f"{_NAME}.xpr"],
                          list(REPORTS), scripts, [f"{_NAME}.xpr"])
        self.commands.set_default_target(REPORTS[-1])
        return graph


def out_of_context(verilog: Verilog, *, clock_mhz: float = 200, part: str = PART) -> Project:
    """The accelerator, or a part of it, as a part of some system, with :data:`CONSTRAINTS` for its clock."""
    constraints = CONSTRAINTS.read_text().replace("aclk", verilog.clock).replace("-period 5.000", f"-period {1e3 / clock_mhz:.3f}")
    return project({f"{verilog.top}.v": verilog.text, CONSTRAINTS.name: constraints}, top=verilog.top, part=part)


def project(sources: Mapping[str, str], *, top: str, part: str = PART, bitstream: bool = False) -> Project:
    """The project of ``sources``, Verilog (``.v``) and constraints (``.xdc``), with the module ``top``.

    Without ``bitstream`` it is out of context; with it the constraints must say where the pins are.
    """
    own = {"report.tcl": _REPORT} | ({} if bitstream else {"route.tcl": _ROUTE, "settings.tcl": _OUT_OF_CONTEXT})
    if clash := {f"{_NAME}.v", *own} & set(sources):
        raise ValueError(f"sources must not be called {', '.join(sorted(clash))}, as files of the project are")
    kinds = {".v": "verilogSource", ".xdc": "xdc", ".tcl": "tclSource"}
    listed = [*sources, *(["settings.tcl"] if "settings.tcl" in own else [])]
    with tempfile.TemporaryDirectory() as folder:
        flow = _Flow({"name": _NAME, "toplevel": top, "bitstream": bitstream, "flow_options": {"part": part},
                      "files": [{"name": file, "file_type": kinds[Path(file).suffix]} for file in listed]}, folder)
        flow.configure()
        written = {file.name: file.read_text() for file in Path(folder).iterdir()}
    written[MAKEFILE] = written.pop("Makefile")
    return Project(part=part, files={**written, **own, **sources}, outputs=REPORTS + ((BITSTREAM,) if bitstream else ()))


def implement(project: Project, folder: Path) -> Xc7:
    """What ``project`` takes after place and route by Vivado in ``folder``; not run if the last run there had the same inputs.

    Without Vivado the project is written to ``folder`` and rehearsed, and :class:`MissingTool` says how to go on.
    ``JobError``; also where paths are too fast for their clock, which no frequency helps.
    """
    try:
        tool = find("vivado")
    except MissingTool as missing:
        _write(project, folder)
        checked = rehearse(project)
        raise MissingTool("vivado", f"{missing.remedy}; its project is in {folder}, {checked}, for make -f {MAKEFILE}") from None
    done = jobs.run(jobs.Job(name=f"Vivado in {folder.name}", inputs=project.files, commands=(("make", "-f", MAKEFILE),),
                             outputs=project.outputs, tools=(find("make"), tool)), folder)
    utilisation, timing, power = (done.read(name) for name in REPORTS)
    met = parse_timing(timing)
    if met.hold_slack_ns < 0:
        raise jobs.JobError(f"{done.job.name} failed: a path misses its hold time by {-met.hold_slack_ns} ns\n"
                            f"report: {done.folder / REPORTS[1]}")
    return Xc7(tools=done.job.versions, device=re.match(r"xc7[a-z]+\d+t?", project.part)[0], **parse_utilisation(utilisation),
               fmax_mhz=met.fmax_mhz, power_w=parse_power(power))


def rehearse(project: Project) -> str:
    """Runs ``project`` with ``vivado_standin`` in place of Vivado and says what was found out in a few words;
    :class:`ProjectError`."""
    if find_spec("_tkinter") is None:
        return "unchecked as Python has no tkinter"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(project, folder)
        program = folder / "bin" / "vivado"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_STANDIN}" "$@"\n')
        program.chmod(0o755)
        result = subprocess.run([find("make").command, "-f", MAKEFILE], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, check=False, env=os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"})
        if result.returncode:
            raise ProjectError("\n".join(jobs.relevant_lines(result.stdout + result.stderr)))
        if missing := [output for output in project.outputs if not (folder / output).exists()]:
            raise ProjectError(f"the project must make {', '.join(missing)}")
    return "whose Tcl, files and ports were checked"


def _write(project: Project, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in project.files.items():
        (folder / name).write_text(text)


_SITES = {"lut": "Slice LUTs", "ff": "Slice Registers", "ramb36": "RAMB36/FIFO", "ramb18": "RAMB18", "dsp": "DSPs",
          "srl": "LUT as Shift Register", "lutram": "LUT as Distributed RAM", "muxf7": "F7 Muxes", "muxf8": "F8 Muxes"}


def parse_utilisation(report: str) -> dict[str, int]:
    """Of ``report_utilization``, by the names of :class:`Xc7`; :class:`ReportError` if it has not got one of the site types."""
    rows = dict(re.findall(r"^\| *([^|]+?)\*? *\| *(\d+) *\|", report, re.MULTILINE))
    for site in _SITES.values():
        if site not in rows:
            raise ReportError(f"the utilisation report must have a row {site}")
    return {name: int(rows[site]) for name, site in _SITES.items()} | {"carry4": int(rows.get("CARRY4", 0))}


def parse_timing(report: str) -> Timing:
    """Of ``report_timing_summary``; :class:`ReportError` if no clock has paths that are constrained."""
    periods = {name: float(period) for name, period in re.findall(
        r"^ *(\S+) +\{[\d. ]+\} +([\d.]+) +[\d.]+ *$", report, re.MULTILINE)}
    clocks = {name: [float(value) for value in values] for name, *values in _rows(report, "Clock +WNS") if name in periods}
    if not clocks:
        raise ReportError("the timing report must have a clock with setup and hold paths")
    worst = min(clocks, key=lambda name: clocks[name][0])
    return Timing(fmax_mhz=1e3 / (periods[worst] - clocks[worst][0]), hold_slack_ns=min(values[4] for values in clocks.values()))


def parse_power(report: str) -> float:
    """Watts on the chip, of ``report_power``; :class:`ReportError` if it has no summary."""
    found = re.search(r"^\| Total On-Chip Power \(W\) +\| ([\d.]+)", report, re.MULTILINE)
    if not found:
        raise ReportError("the power report must have a row Total On-Chip Power (W)")
    return float(found[1])


def _rows(report: str, header: str) -> list[list[str]]:
    """Name and figures of the rows under the line that begins with ``header`` and one of dashes, that have all twelve figures."""
    table = re.search(rf"^ *{header}\(ns\).*\n[ -]+\n((?: *\S.*\n)*)", report, re.MULTILINE)
    return [row for line in table[1].splitlines() if len(row := line.split()) == 13 and "NA" not in row] if table else []
