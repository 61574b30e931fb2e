"""From a configuration to what a board is loaded with, as far as the tools at hand go."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from amaranth.build import Platform
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.bridge.memory import LEAST_BYTES
from adagp_hdl.bridge.system import HostedAccelerator
from adagp_hdl.bridge.uart import divisor
from adagp_hdl.verilog import convert

from .. import jobs, vivado
from ..tools import MissingTool, find
from .clocks import Ecp5Clock, Series7Clock
from .top import SYSTEM, BoardTop
from .vc707 import VC707Platform

SILENCE_SECONDS = 0.05
"""After which a request has broken off; hosts and USB adapters pause for less."""

_BUFFERS = 1 / 8
"""Share of the block memory that is left for the machine's queues, and for what does not fill its blocks."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board. ``clock`` makes ``clock_hz`` of its oscillator; ``block_bytes`` of memory are on the chip."""

    platform: Callable[[], Platform]
    clock: Callable[[], object]
    clock_hz: float
    bits_per_second: int
    reset_button: str
    block_bytes: int

    def memory_bytes(self, config: AcceleratorConfig) -> int:
        """The largest external memory for ``config`` that fits on the chip beside it; ValueError without one."""
        room = self.block_bytes * (1 - _BUFFERS) - scratchpad_bytes(config)
        if room < LEAST_BYTES:
            raise ValueError(f"config must leave {LEAST_BYTES} of the board's {self.block_bytes} bytes of block memory, "
                             f"but its own memories have {scratchpad_bytes(config)}")
        return 1 << int(room).bit_length() - 1


BOARDS = {
    "ulx3s": Board(platform=ULX3S_85F_Platform, clock=partial(Ecp5Clock, 25e6, 50e6), clock_hz=50e6,
                   bits_per_second=1_000_000, reset_button="button_fire", block_bytes=208 * 2048),
    "vc707": Board(platform=VC707Platform, clock=partial(Series7Clock, 200e6, 100e6), clock_hz=100e6,
                   bits_per_second=921_600, reset_button="rst", block_bytes=1030 * 4096),
}


@dataclass(frozen=True, kw_only=True)
class BoardBuild:
    """What was built. ``cells``: those of the netlist, by type. ``bitstream`` is None where ``missing`` says what it
    would take; then ``fmax_mhz`` is None, too. A host needs ``memory_bytes`` and ``bits_per_second``."""

    board: str
    memory_bytes: int
    bits_per_second: int
    clock_mhz: float
    cells: Mapping[str, int]
    fmax_mhz: float | None
    bitstream: Path | None
    missing: str | None


def build_board(name: str, config: AcceleratorConfig, folder: Path, *, memory_bytes: int | None = None) -> BoardBuild:
    """Builds the machine of ``config`` for the board ``name`` of :data:`BOARDS` in ``folder``.

    ``memory_bytes``, a power of two, is the size of its external memory, by default :meth:`Board.memory_bytes`. A board
    with an ECP5 gets a bitstream, or :class:`..jobs.JobError` if the clock is not reached. The VC707 gets a
    netlist from Yosys and a project for Vivado, which also runs where it is installed. What has not
    changed since the last build is not done again. ValueError for what is unknown or cannot fit.
    """
    if name not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    board = BOARDS[name]
    most = board.memory_bytes(config)
    memory_bytes = memory_bytes or most
    if memory_bytes > most:
        raise ValueError(f"memory_bytes must be at most {most} on the {name} with this config, not {memory_bytes}")
    system = convert(HostedAccelerator(
        config, memory_bytes=memory_bytes, divisor=divisor(board.clock_hz, board.bits_per_second),
        silence_cycles=int(board.clock_hz * SILENCE_SECONDS)), name=SYSTEM)
    files = prepare(board, system)
    result = partial(BoardBuild, board=name, memory_bytes=memory_bytes, bits_per_second=board.bits_per_second,
                     clock_mhz=board.clock_hz / 1e6)
    build = _build_ecp5 if issubclass(board.platform, ULX3S_85F_Platform) else _build_series7
    return build(files, Path(folder), result)


def scratchpad_bytes(config: AcceleratorConfig) -> int:
    """Bytes of the machine's memories on the chip."""
    shapes = [config.array, *([config.predictor_array] if config.design.has_predictor_array else [])]
    operands = sum(shape.stream_elements + shape.stationary_elements for shape in shapes)
    own = config.predictor_elements if config.design.has_predictor_memory else 0
    return 2 * operands + 4 * (config.vector_elements + own)


def prepare(board: Board, system: str) -> dict[str, str]:
    """The files of Amaranth's build of the board around the module :data:`SYSTEM`, whose Verilog is ``system``."""
    os.environ.setdefault("YOSYS", find("yosys").command)  # for amaranth.back.verilog
    platform = board.platform()
    platform.add_file(f"{SYSTEM}.v", system)
    plan = platform.prepare(BoardTop(board.clock(), reset_button=board.reset_button))
    return {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}


def _build_ecp5(files: Mapping[str, str], folder: Path, result: Callable[..., BoardBuild]) -> BoardBuild:
    yosys, nextpnr, ecppack = find("yosys"), find("nextpnr-ecp5"), find("ecppack")
    sources = {name: files[name] for name in (f"{SYSTEM}.v", "top.il", "top.ys")}
    sources["top.ys"] += "tee -q -o cells.json stat -json\n"
    netlist = jobs.run(jobs.Job(name=f"{folder.name} synthesis", inputs=sources, commands=(("yosys", "top.ys"),),
                                outputs=("top.json", "cells.json"), tools=(yosys,)), folder / "netlist")
    place = ("nextpnr-ecp5", "--85k", "--package", "CABGA381", "--speed", "6", "--json", "top.json", "--lpf", "top.lpf",
             "--report", "report.json", "--textcfg", "top.config")
    placed = jobs.run(jobs.Job(
        name=f"{folder.name} bitstream", inputs={"top.json": netlist.read("top.json"), "top.lpf": files["top.lpf"]},
        commands=(place, ("ecppack", "--compress", "--input", "top.config", "--bit", "top.bit")),
        outputs=("top.bit", "report.json"), tools=(nextpnr, ecppack)), folder / "bitstream")
    clocks = json.loads(placed.read("report.json"))["fmax"].values()
    return result(cells=_cells(netlist), fmax_mhz=min(clock["achieved"] for clock in clocks),
                  bitstream=placed.folder / "top.bit", missing=None)


def _build_series7(files: Mapping[str, str], folder: Path, result: Callable[..., BoardBuild]) -> BoardBuild:
    script = "\n".join((f"read_verilog {SYSTEM}.v top.v", "synth_xilinx -family xc7 -top top", "write_edif top.edif",
                        "tee -q -o cells.json stat -json", ""))
    netlist = jobs.run(jobs.Job(
        name=f"{folder.name} synthesis", inputs={f"{SYSTEM}.v": files[f"{SYSTEM}.v"], "top.v": files["top.v"], "top.ys": script},
        commands=(("yosys", "top.ys"),), outputs=("top.edif", "cells.json"), tools=(find("yosys"),)), folder / "netlist")
    project = vivado.project({name: files[name] for name in (f"{SYSTEM}.v", "top.v", "top.xdc")}, top="top", bitstream=True)
    try:
        done = vivado.implement(project, folder / "vivado")
    except MissingTool as missing:
        return result(cells=_cells(netlist), fmax_mhz=None, bitstream=None, missing=str(missing))
    return result(cells=_cells(netlist), fmax_mhz=done.fmax_mhz, bitstream=done.folder / project.bitstream, missing=None)


def _cells(netlist: jobs.Finished) -> dict[str, int]:
    return json.loads(netlist.read("cells.json"))["design"]["num_cells_by_type"]
