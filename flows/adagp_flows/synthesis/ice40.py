"""Lattice iCE40 with Yosys and nextpnr."""

from collections.abc import Sequence
from pathlib import Path

from .devices import Device, named
from .nextpnr import SEEDS, Family, implement
from .results import Ice40


def _device(name: str, cells: int, bram: int, spram: int = 0, dsp: int = 0) -> Device:
    return Device(name=name, capacity={"lut": cells, "ff": cells, "bram": bram, "spram": spram, "dsp": dsp},
                  memory_bits=4096 * bram + (spram << 18))


DEVICES = _device("hx8k", 7_680, 32), _device("up5k", 5_280, 30, 4, 8), _device("hx1k", 1_280, 16)
"""From Lattice's FPGA-DS-02029 and FPGA-DS-02008."""

_PACKAGES = {"hx1k": "tq144", "hx8k": "ct256", "up5k": "sg48"}
_FLIP_FLOPS = (f"SB_DFF{edge}{enable}{reset}" for edge in ("", "N") for enable in ("", "E") for reset in ("", "SR", "SS", "R", "S"))

#: A carry shares its logic cell with a LUT or, with luck, not; it is not counted.
_COSTS = {"SB_LUT4": ("lut", 1), "SB_MAC16": ("dsp", 1), "SB_SPRAM256KA": ("spram", 1), **{name: ("ff", 1) for name in _FLIP_FLOPS},
          **{f"SB_RAM40_4K{edges}": ("bram", 1) for edges in ("", "NR", "NW", "NRNW")}}


def _synthesise(device: str, module: str) -> Sequence[str]:
    """Multipliers stay in logic: the few that up5k has are fewer than any machine's elements."""
    options = "-device u -spram" if device.startswith("up") else "-device hx"
    return [f"synth_ice40 {options} -top {module} -run begin:check"]


def _place(device: str, clock_mhz: float) -> tuple[Sequence[str], dict[str, str]]:
    return (f"--{device}", "--package", _PACKAGES[device], "--freq", f"{clock_mhz:g}", "--asc", "placed.asc"), {}


FAMILY = Family(name="ice40", synthesise=_synthesise, library="read_verilog -D ICE40_HX -lib -specify +/ice40/cells_sim.v", costs=_COSTS,
                place=_place, placed="placed.asc", packer=("icepack", "placed.asc", "scan.bin"), bitstream="scan.bin")


def synthesise(source: str, *, top: str, clock: str, device: str, clock_mhz: float, folder: Path, cache: Path,
               seeds: Sequence[int] = SEEDS) -> Ice40:
    """See :func:`.nextpnr.implement`."""
    found = implement(FAMILY, named(DEVICES, device), source, top=top, clock=clock, clock_mhz=clock_mhz, folder=folder, cache=cache,
                      seeds=seeds)
    return Ice40(device=device, **vars(found), **found.modules[0].total)
