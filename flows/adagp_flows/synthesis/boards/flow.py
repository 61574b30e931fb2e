"""From a configuration to what a board is loaded with, as far as the tools at hand go."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from amaranth.lib.wiring import Component
from amaranth.vendor import LatticeECP5Platform

from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig
from adagp_hdl.bridge.memory import LEAST_BYTES
from adagp_hdl.bridge.system import HostedAccelerator
from adagp_hdl.bridge.uart import divisor
from adagp_hdl.verilog import convert

from .. import ecp5, nextpnr, vivado, xc7
from ..areas import areas, table
from ..devices import Device, check_counted
from ..jobs import Finished, Job, JobError, run
from ..modules import Hierarchy, synthesise_modules
from ..results import Ecp5, Xc7
from ..subject import Subject
from ..tools import MissingTool, find
from . import catalogue
from .catalogue import Board
from .top import SYSTEM, BoardTop

SILENCE_SECONDS = 0.05
"""After which a request has broken off; hosts and USB adapters pause for less."""

_SEED = 1


@dataclass(frozen=True, kw_only=True)
class BoardBuild:
    """What was built: ``result`` is what the whole of it takes of the device, of an Xc7 without the pads and the clock
    unless Vivado ran. ``bitstream`` is None where ``missing`` says what it would take. A host needs ``memory_bytes`` and
    ``bits_per_second``."""

    board: str
    memory_bytes: int
    bits_per_second: int
    clock_mhz: float
    result: Ecp5 | Xc7
    bitstream: Path | None
    missing: str | None


def build(board: str, config: AcceleratorConfig, folder: Path, *, memory_bytes: int | None = None,
          clock_mhz: float | None = None) -> BoardBuild:
    """Builds the machine of ``config`` for the board of this name in :data:`.catalogue.BOARDS`, in ``folder``.

    ``memory_bytes``, a power of two, is the size of its external memory, by default the most that fits; ``clock_mhz`` is by
    default the board's usual one. A board with an ECP5 gets a bitstream. The VC707 gets a netlist from Yosys and a project
    for Vivado, which also runs where it is installed. What has not changed since the last build is not done again.
    ValueError for what is unknown or cannot fit, ``JobError`` where a tool fails or the clock is not reached.
    """
    chosen = catalogue.board(board)
    most = chosen.memory_bytes(Subject(name=board, config=config))
    memory_bytes = most if memory_bytes is None else memory_bytes
    if not LEAST_BYTES <= memory_bytes <= most or memory_bytes & (memory_bytes - 1):
        raise ValueError(f"memory_bytes must be a power of two from {LEAST_BYTES} to {most} on the {board} with this config, "
                         f"not {memory_bytes}")
    clock_hz = chosen.clock_hz if clock_mhz is None else 1e6 * clock_mhz
    rate = chosen.bits_per_second(clock_hz)
    clock = chosen.clock(clock_hz)
    system = convert(HostedAccelerator(
        config, memory_bytes=memory_bytes, divisor=divisor(clock_hz, rate),
        silence_cycles=int(clock_hz * SILENCE_SECONDS)), name=SYSTEM)
    described = partial(BoardBuild, board=board, memory_bytes=memory_bytes, bits_per_second=rate,
                        clock_mhz=clock_hz / 1e6)
    made = _ecp5 if issubclass(chosen.platform, LatticeECP5Platform) else _series7
    built = made(chosen.device, prepare(chosen, clock, system), Path(folder), described)
    if built.result.fmax_mhz is not None and built.result.fmax_mhz < built.clock_mhz:
        raise JobError(f"{board} reaches {built.result.fmax_mhz:.1f} MHz, not {built.clock_mhz:g}: ask for a lower clock")
    return built


def prepare(board: Board, clock: Component, system: str) -> dict[str, str]:
    """The files of Amaranth's build of ``board`` with ``clock``, around the module :data:`SYSTEM`, whose Verilog is ``system``."""
    os.environ.setdefault("YOSYS", find("yosys").command)  # for amaranth.back.verilog
    platform = board.platform()
    platform.add_file(f"{SYSTEM}.v", system)
    plan = platform.prepare(BoardTop(clock, reset_button=board.reset_button), emit_src=False)
    return {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}


def _ecp5(device: Device, files: Mapping[str, str], folder: Path, described: Callable[..., BoardBuild]) -> BoardBuild:
    hierarchy = Hierarchy.of(files[f"{SYSTEM}.v"], SYSTEM)
    synthesised = synthesise_modules(hierarchy, partial(nextpnr.synthesis_job, ecp5.FAMILY, device), folder / "modules")
    system = "\n".join(each.read("netlist.v") for each in synthesised.values())
    modules = areas(hierarchy, synthesised, lambda cells: ecp5.FAMILY.resources(cells, list(device.capacity)))
    replace_file(folder / "modules.csv", lambda path: path.write_text(table(modules)))
    check_counted(modules[0].total, device)
    netlist = _linked(hierarchy, system, "read_rtlil top.il", {"top.il": files["top.il"]}, synthesis="synth_ecp5",
                      library=ecp5.FAMILY.library, write="flatten\nopt_clean\nblackbox =A:whitebox\nwrite_json top.json", folder=folder)
    placed = run(Job(
        name=f"{folder.name} bitstream", inputs={"top.json": netlist.read("top.json"), "top.lpf": files["top.lpf"]},
        commands=(("nextpnr-ecp5", f"--{device.name}", "--package", ecp5.PACKAGE, "--speed", ecp5.SPEED, "--seed", str(_SEED),
                   "--router", "router2", "--timing-allow-fail", "--json", "top.json", "--lpf", "top.lpf",
                   "--report", "report.json", "--textcfg", "top.config"),
                  ("ecppack", "--compress", "--input", "top.config", "--bit", "top.bit")),
        outputs=("top.bit", "report.json"), tools=(find("nextpnr-ecp5"), find("ecppack"))), folder / "bitstream")
    report = json.loads(placed.read("report.json"))
    fmax = min(clock["achieved"] for clock in report["fmax"].values())
    return described(bitstream=placed.folder / "top.bit", missing=None, result=Ecp5(
        tools=netlist.job.versions | placed.job.versions, modules=modules, device=device.name, fmax_mhz=fmax, fmax_by_seed={_SEED: fmax},
        critical_path=nextpnr.critical_path(report), **modules[0].total))


def _series7(device: Device, files: Mapping[str, str], folder: Path, described: Callable[..., BoardBuild]) -> BoardBuild:
    system = files[f"{SYSTEM}.v"]
    result = xc7.synthesise(system, top=SYSTEM, device=device.name, folder=folder, cache=folder / "modules")
    _linked(Hierarchy.of(system, SYSTEM), (folder / "netlist.v").read_text(), "read_verilog top.v", {"top.v": files["top.v"]},
            synthesis="synth_xilinx -family xc7", library="read_verilog -lib +/xilinx/cells_sim.v +/xilinx/cells_xtra.v",
            write="write_edif -pvector bra top.edif", folder=folder)
    project = vivado.project({name: files[name] for name in (f"{SYSTEM}.v", "top.v", "top.xdc")}, top="top", bitstream=True)
    try:
        result = vivado.implement(project, folder / "vivado")
    except MissingTool as missing:
        return described(result=result, bitstream=None, missing=str(missing))
    return described(result=result, bitstream=folder / "vivado" / vivado.BITSTREAM, missing=None)


def _linked(hierarchy: Hierarchy, system: str, read: str, top: Mapping[str, str], *, synthesis: str, library: str, write: str,
            folder: Path) -> Finished:
    """Yosys on the board's ``top``, a file that the command ``read`` reads, around the netlist ``system``: what ``write`` says."""
    shell = ["read_verilog -lib system.v", read, f"{synthesis} -flatten -top top", f"delete ={SYSTEM}", "write_rtlil shell.il"]
    link = [library, "read_rtlil shell.il", "read_verilog netlist.v", "hierarchy -check -top top", "check -assert", write]
    return run(Job(
        name=f"{folder.name} netlist", tools=(find("yosys"),), outputs=(write.split()[-1],),
        inputs={**top, "system.v": hierarchy.modules[SYSTEM].header, "netlist.v": system,
                "shell.ys": "\n".join(shell) + "\n", "link.ys": "\n".join(link) + "\n"},
        commands=(("yosys", "shell.ys"), ("yosys", "link.ys"))), folder / "netlist")
