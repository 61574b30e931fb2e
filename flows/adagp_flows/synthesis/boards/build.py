"""From a configuration to what a board is loaded with, as far as the tools at hand go."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from amaranth.vendor import LatticeECP5Platform

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.bridge.system import HostedAccelerator
from adagp_hdl.bridge.uart import divisor
from adagp_hdl.verilog import convert

from .. import vivado, xc7
from ..jobs import Job, JobError, run
from ..modules import Hierarchy
from ..results import Ecp5, Xc7
from ..tools import MissingTool, find
from .catalogue import Board
from .catalogue import board as named
from .top import SYSTEM, BoardTop

SILENCE_SECONDS = 0.05
"""After which a request has broken off; hosts and USB adapters pause for less."""


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


def build(board: str, config: AcceleratorConfig, folder: Path, *, memory_bytes: int | None = None) -> BoardBuild:
    """Builds the machine of ``config`` for the board of this name in :data:`.catalogue.BOARDS`, in ``folder``.

    ``memory_bytes``, a power of two, is the size of its external memory, by default the most that fits. A board with an
    ECP5 gets a bitstream. The VC707 gets a netlist from Yosys and a project for Vivado, which also runs where it is
    installed. What has not changed since the last build is not done again. ValueError for what is unknown or cannot fit,
    ``JobError`` where a tool fails or the board's clock is not reached.
    """
    chosen = named(board)
    most = chosen.memory_bytes(config)
    memory_bytes = memory_bytes or most
    if memory_bytes > most:
        raise ValueError(f"memory_bytes must be at most {most} on the {board} with this config, not {memory_bytes}")
    system = convert(HostedAccelerator(
        config, memory_bytes=memory_bytes, divisor=divisor(chosen.clock_hz, chosen.bits_per_second),
        silence_cycles=int(chosen.clock_hz * SILENCE_SECONDS)), name=SYSTEM)
    described = partial(BoardBuild, board=board, memory_bytes=memory_bytes, bits_per_second=chosen.bits_per_second,
                        clock_mhz=chosen.clock_hz / 1e6)
    made = _ecp5 if issubclass(chosen.platform, LatticeECP5Platform) else _series7
    return made(prepare(chosen, system), Path(folder), described)


def prepare(board: Board, system: str) -> dict[str, str]:
    """The files of Amaranth's build of ``board`` around the module :data:`SYSTEM`, whose Verilog is ``system``."""
    os.environ.setdefault("YOSYS", find("yosys").command)  # for amaranth.back.verilog
    platform = board.platform()
    platform.add_file(f"{SYSTEM}.v", system)
    plan = platform.prepare(BoardTop(board.clock(), reset_button=board.reset_button))
    return {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}


#: Synthesis of what is around the machine, which is a black box there.
_SHELL = "{read}\nread_verilog system.v\n{synthesis} -flatten -top top\ndelete ={system}\nwrite_rtlil shell.il\n"

#: Its netlist and that of the machine as one.
_LINK = "{library}\nread_rtlil shell.il\nread_verilog netlist.v\nhierarchy -check -top top\ncheck -assert\n{write}\n"

_PLACEMENT = ("--85k", "--package", "CABGA381", "--speed", "6", "--seed", "1")
_ECP5_CELLS = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "bram": "DP16KD", "dsp": "MULT18X18D"}


def _ecp5(files: Mapping[str, str], folder: Path, described: Callable[..., BoardBuild]) -> BoardBuild:
    netlist = run(Job(name=f"{folder.name} synthesis", inputs={name: files[name] for name in (f"{SYSTEM}.v", "top.il", "top.ys")},
                      commands=(("yosys", "top.ys"),), outputs=("top.json",), tools=(find("yosys"),)), folder / "netlist")
    placed = run(Job(
        name=f"{folder.name} bitstream", inputs={"top.json": netlist.read("top.json"), "top.lpf": files["top.lpf"]},
        commands=(("nextpnr-ecp5", *_PLACEMENT, "--json", "top.json", "--lpf", "top.lpf", "--report", "report.json",
                   "--textcfg", "top.config"),
                  ("ecppack", "--compress", "--input", "top.config", "--bit", "top.bit")),
        outputs=("top.bit", "report.json"), tools=(find("nextpnr-ecp5"), find("ecppack"))), folder / "bitstream")
    report = json.loads(placed.read("report.json"))
    fmax = min(clock["achieved"] for clock in report["fmax"].values())
    return described(bitstream=placed.folder / "top.bit", missing=None, result=Ecp5(
        tools=netlist.job.versions | placed.job.versions, device="LFE5U-85F", fmax_mhz=fmax, fmax_by_seed={1: fmax},
        **{name: report["utilization"][cell]["used"] for name, cell in _ECP5_CELLS.items()}))


_SHELL = f"""\
read_verilog top.v {SYSTEM}.v
synth_xilinx -family xc7 -flatten -top top
write_verilog -noattr shell.v
"""

_LINK = """\
read_verilog -lib +/xilinx/cells_sim.v
read_verilog -lib +/xilinx/cells_xtra.v
read_verilog shell.v netlist.v
hierarchy -check -top top
check -assert
write_edif -pvector bra top.edif
"""


def _series7(files: Mapping[str, str], folder: Path, described: Callable[..., BoardBuild]) -> BoardBuild:
    system = files[f"{SYSTEM}.v"]
    result = xc7.synthesise(system, top=SYSTEM, name=xc7.VC707, folder=folder, cache=folder / "modules")
    run(Job(name=f"{folder.name} netlist", tools=(find("yosys"),), outputs=("top.edif",), inputs={
        f"{SYSTEM}.v": Hierarchy.of(system, SYSTEM).modules[SYSTEM].header, "top.v": files["top.v"], "shell.ys": _SHELL,
        "netlist.v": (folder / "netlist.v").read_text(), "link.ys": _LINK},
        commands=(("yosys", "shell.ys"), ("yosys", "link.ys"))), folder / "netlist")
    project = vivado.project({name: files[name] for name in (f"{SYSTEM}.v", "top.v", "top.xdc")}, top="top", bitstream=True)
    try:
        result = vivado.implement(project, folder / "vivado")
    except MissingTool as missing:
        return described(result=result, bitstream=None, missing=str(missing))
    built = described(result=result, bitstream=folder / "vivado" / vivado.BITSTREAM, missing=None)
    if result.fmax_mhz < built.clock_mhz:
        raise JobError(f"{folder.name} reaches {result.fmax_mhz:.1f} MHz of {built.clock_mhz:g} MHz; reports: {folder / 'vivado'}")
    return built
