"""AMD's Vivado through edalize's flow: a project, its reports after place and route, and what they say.

Where Vivado is missing, the project is written all the same, for a machine that has it.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edalize.flows import vivado as edalize_vivado

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.verilog import generate

from . import jobs
from .tools import MissingTool, find

PART = "xc7vx485tffg1761-2"
"""The device of a VC707."""

CONSTRAINTS = Path(__file__).resolve().parents[3] / "constraints" / "vc707.xdc"
"""Clock and exceptions of the machine out of context."""

MAKEFILE = "vivado.mk"
REPORTS = ("utilization.rpt", "timing.rpt", "power.rpt")

_NAME = "machine"

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


@dataclass(frozen=True, kw_only=True)
class Project:
    """Files by name; ``make -f vivado.mk`` among them runs Vivado, which writes ``outputs``."""

    files: Mapping[str, str]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Utilisation:
    """Site types of a 7-series device that are used: LUTs (also those that are memory), registers, whole block
    memories and halves, DSP slices."""

    lut: int
    ff: int
    ramb36: int
    ramb18: int
    dsp: int


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Setup slack of the worst path, what is left of the period of its clock or exceeds it, and the frequency
    that this clock could have; slack of the worst hold path."""

    slack_ns: float
    fmax_mhz: float
    hold_slack_ns: float


@dataclass(frozen=True, kw_only=True)
class Power:
    """Estimated power on the chip. ``confidence``: Low, Medium or High, as Vivado sees its own estimate."""

    power_w: float
    dynamic_w: float
    static_w: float
    confidence: str


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """A design after place and route."""

    utilisation: Utilisation
    timing: Timing
    power: Power
    tool: str
    folder: Path


class _Flow(edalize_vivado.Vivado):
    """Edalize's flow, but what it makes are the reports, after a bitstream only if there is to be one."""

    def configure_flow(self, flow_options):
        graph = super().configure_flow(flow_options)
        scripts = [f"{_NAME}_synth.tcl", f"{_NAME}_run.tcl" if self.edam["bitstream"] else "route.tcl", "report.tcl"]
        self.commands.add(["vivado", "-notrace", "-mode", "batch", "-source", *scripts, f"{_NAME}.xpr"],
                          list(REPORTS), scripts, [f"{_NAME}.xpr"])
        self.commands.set_default_target(REPORTS[-1])
        return graph


def machine_project(config: AcceleratorConfig, *, name: str = "adagp", part: str = PART) -> Project:
    """The machine of ``config`` out of context, with :data:`CONSTRAINTS`."""
    return project({f"{name}.v": generate(config, name=name), CONSTRAINTS.name: CONSTRAINTS.read_text()}, top=name, part=part)


def project(sources: Mapping[str, str], *, top: str, part: str = PART, bitstream: bool = False) -> Project:
    """The project of ``sources``, Verilog (``.v``) and constraints (``.xdc``), with the module ``top``.

    Without ``bitstream`` it is out of context; with it the constraints must say where the pins are.
    """
    own = {"report.tcl": _REPORT} | ({} if bitstream else {"route.tcl": _ROUTE, "settings.tcl": _OUT_OF_CONTEXT})
    kinds = {".v": "verilogSource", ".xdc": "xdc", ".tcl": "tclSource"}
    listed = [*sources, *(["settings.tcl"] if "settings.tcl" in own else [])]
    if clash := {f"{_NAME}.v", *own} & set(sources):
        raise ValueError(f"sources must not be called {', '.join(sorted(clash))}, as files of the project are")
    with tempfile.TemporaryDirectory() as folder:
        flow = _Flow({"name": _NAME, "toplevel": top, "bitstream": bitstream, "flow_options": {"part": part},
                      "files": [{"name": file, "file_type": kinds[Path(file).suffix]} for file in listed]}, folder)
        flow.configure()
        written = {file.name: file.read_text() for file in Path(folder).iterdir()}
    written[MAKEFILE] = written.pop("Makefile")
    return Project(files={**written, **own, **sources}, outputs=REPORTS + ((f"{_NAME}.bit",) if bitstream else ()))


def implement(project: Project, folder: Path) -> Implementation:
    """Runs Vivado on ``project`` in ``folder``, unless the last run there had the same inputs.

    Without Vivado the project is written to ``folder``, and :class:`MissingTool` says how to go on.
    """
    try:
        vivado = find("vivado")
    except MissingTool as missing:
        write(project, folder)
        raise MissingTool("vivado", f"{missing.remedy}; its project is in {folder}, where make -f {MAKEFILE} runs it") from None
    done = jobs.run(jobs.Job(name=f"{folder.name} implementation", inputs=project.files, commands=(("make", "-f", MAKEFILE),),
                             outputs=project.outputs, tools=(find("make"), vivado)), folder)
    utilisation, timing, power = (done.read(name) for name in REPORTS)
    return Implementation(utilisation=parse_utilisation(utilisation), timing=parse_timing(timing), power=parse_power(power),
                          tool=vivado.version, folder=done.folder)


def write(project: Project, folder: Path) -> None:
    """The files of ``project``, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in project.files.items():
        (folder / name).write_text(text)


def parse_utilisation(report: str) -> Utilisation:
    """Of ``report_utilization``; :class:`ReportError` if it has not got one of the site types."""
    rows = dict(re.findall(r"^\| *([^|]+?)\*? *\| *(\d+) *\|", report, re.MULTILINE))
    sites = {"lut": "Slice LUTs", "ff": "Slice Registers", "ramb36": "RAMB36/FIFO", "ramb18": "RAMB18", "dsp": "DSPs"}
    for site in sites.values():
        if site not in rows:
            raise ReportError(f"the utilisation report must have a row {site}")
    return Utilisation(**{name: int(rows[site]) for name, site in sites.items()})


def parse_timing(report: str) -> Timing:
    """Of ``report_timing_summary``; :class:`ReportError` if no clock has paths that are constrained."""
    periods = {name: float(period) for name, period in re.findall(
        r"^ *(\S+) +\{[\d. ]+\} +([\d.]+) +[\d.]+ *$", report, re.MULTILINE)}
    clocks = {name: [float(value) for value in values] for name, *values in _rows(report, "Clock +WNS") if name in periods}
    if not clocks:
        raise ReportError("the timing report must have a clock with setup and hold paths")
    worst = min(clocks, key=lambda name: clocks[name][0])
    (summary,) = _rows(report, "WNS")
    return Timing(slack_ns=float(summary[0]), hold_slack_ns=float(summary[4]), fmax_mhz=1e3 / (periods[worst] - clocks[worst][0]))


def parse_power(report: str) -> Power:
    """Of ``report_power``; :class:`ReportError` if it has no summary."""
    rows = dict(re.findall(r"^\| ([^|]+?) +\| ([^|]+?) +\|$", report, re.MULTILINE))
    watts = {"power_w": "Total On-Chip Power (W)", "dynamic_w": "Dynamic (W)", "static_w": "Device Static (W)"}
    for row in (*watts.values(), "Confidence Level"):
        if row not in rows:
            raise ReportError(f"the power report must have a row {row}")
    return Power(confidence=rows["Confidence Level"], **{  # a figure may be followed by a remark
        name: float(rows[row].split()[0]) for name, row in watts.items()})


def _rows(report: str, header: str) -> list[list[str]]:
    """The words of the rows, under a line that begins with ``header`` and one of dashes, that have all twelve figures."""
    table = re.search(rf"^ *{header}\(ns\).*\n[ -]+\n((?: *\S.*\n)*)", report, re.MULTILINE)
    rows = [line.split() for line in table[1].splitlines()] if table else []
    return [row for row in rows if len(row) >= 12 and "NA" not in row and len(row) == 12 + (header != "WNS")]
