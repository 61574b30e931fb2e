"""Lattice ECP5 with Yosys and nextpnr."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from .devices import Device, named
from .nextpnr import SEEDS, Family, implement
from .paths import CellTiming, Timing
from .results import Ecp5

SPEED, PACKAGE = "6", "CABGA381"


def _device(name: str, lut: int, bram: int, dsp: int) -> Device:
    return Device(name=name, capacity={"lut": lut, "ff": lut, "bram": bram, "dsp": dsp}, memory_bits=bram * 18 * 1024)


DEVICES = _device("85k", 83_640, 208, 156), _device("45k", 43_848, 108, 72), _device("25k", 24_288, 56, 28)
"""LFE5U-85F, -45F and -25F, from Lattice's FPGA-DS-02012."""

#: A pair of carry bits takes two LUT4, a memory of 16 words of 4 bits takes four and the two of the slice that writes it.
#: The multiplexers of wide functions take none.
_COSTS = {"LUT4": ("lut", 1), "CCU2C": ("lut", 2), "TRELLIS_DPR16X4": ("lut", 6), "TRELLIS_FF": ("ff", 1), "DP16KD": ("bram", 1),
          "MULT18X18D": ("dsp", 1)}


def _place(device: str, clock_mhz: float) -> tuple[Sequence[str], dict[str, str]]:
    return (f"--{device}", "--speed", SPEED, "--package", PACKAGE, "--lpf", "clock.lpf", "--lpf-allow-unconstrained",
            "--textcfg", "placed.config"), {"clock.lpf": f'FREQUENCY PORT "clock" {clock_mhz:g} MHZ;\n'}


_BLOCKS = "registered_product", "stalled_product", "one_of_four", "one_of_eight"


def _synthesise(device: str, module: str) -> list[str]:
    """Without wide LUTs: ABC would fill them, each 2 to 8 LUT4, with functions that need a third of that, rotations above all.

    By itself ABC makes every path as short as it can, those too that are never the longest. That is right for modules whose
    paths go on in others, of which it knows nothing. Adders begin and end with registers and are most of the machine: they
    become as small as 5 ns of LUTs and wires allow (ABC counts 0.54 ns a level).
    """
    relaxed = ["scratchpad -set abc9.D 5000"] if module.endswith("_sum") else []
    return [*relaxed, f"synth_ecp5 -top {module} -nowidelut -run begin:check"]


def _timing(cell: str, parameters: Mapping[str, str]) -> CellTiming:
    """Speed grade 6, about as nextpnr times them."""
    match cell:
        case "TRELLIS_FF":
            return CellTiming(launch={"Q": 0.52}, setup={"CE": 0.1, "LSR": 0.1}, ignored=_CLOCKS)
        case "LUT4":
            return CellTiming(through={"Z": dict.fromkeys("ABCD", 0.24)})
        case "PFUMX" | "L6MUX21":
            below = {"PFUMX": ("ALUT", "BLUT", "C0"), "L6MUX21": ("D0", "D1", "SD")}[cell]
            return CellTiming(through={"Z": dict.fromkeys(below, 0.2)}, adjacent=frozenset(below[:2]))
        case "CCU2C":
            first, both = dict.fromkeys(("A0", "B0", "C0", "D0"), 0.45), dict.fromkeys([f"{x}{i}" for x in "ABCD" for i in "01"], 0.45)
            return CellTiming(through={"COUT": {"CIN": 0.07, **both}, "S0": {"CIN": 0.44, **first}, "S1": {"CIN": 0.44, **both}},
                              adjacent=frozenset({"CIN"}))
        case "TRELLIS_DPR16X4":
            return CellTiming(launch={"DO": 0.9}, through={"DO": {"RAD": 0.24}}, ignored=_CLOCKS)
        case "DP16KD":
            ports = {f"DO{port}{i}": 5.7 if parameters.get(f"REGMODE_{port}") != "OUTREG" else 0.8 for port in "AB" for i in range(18)}
            return CellTiming(launch=ports, ignored=_CLOCKS)
        case "MULT18X18D":
            registered = [parameters.get(f"REG_{name}_CLK", "NONE") != "NONE" for name in ("INPUTA", "INPUTB", "OUTPUT")]
            outputs, inputs = [f"P{i}" for i in range(36)], [f"{x}{i}" for x in "AB" for i in range(18)]
            if registered[2]:
                return CellTiming(launch=dict.fromkeys(outputs, 0.74), ignored=_CLOCKS)
            if all(registered[:2]):
                return CellTiming(launch=dict.fromkeys(outputs, 3.9), ignored=_CLOCKS)
            return CellTiming(through=dict.fromkeys(outputs, dict.fromkeys(inputs, 3.9)), ignored=_CLOCKS)
    return CellTiming(ignored=_CLOCKS)


_CLOCKS = frozenset({"CLK", "CLK0", "CLKA", "CLKB", "WCK"})

#: An assumption; of the array of 8×8 elements it makes 101 MHz, where nextpnr's routed one has 131.
TIMING = Timing(cell=_timing, wire=lambda loads: 0.75 + 0.12 * min(loads, 4) + 0.02 * min(loads, 60))

FAMILY = Family(
    name="ecp5", synthesise=_synthesise, costs=_COSTS, timing=TIMING,
    blocks={name: (files(__package__) / f"ecp5_{name}.v").read_text() for name in _BLOCKS},
    library="read_verilog -lib -specify +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v", place=_place, placed="placed.config",
    packer=("ecppack", "--compress", "placed.config", "scan.bit"), bitstream="scan.bit")


def synthesise(source: str, *, top: str, clock: str, device: str, clock_mhz: float, folder: Path, cache: Path,
               seeds: Sequence[int] = SEEDS) -> Ecp5:
    """See :func:`.nextpnr.implement`; speed grade 6."""
    found = implement(FAMILY, named(DEVICES, device), source, top=top, clock=clock, clock_mhz=clock_mhz, folder=folder, cache=cache,
                      seeds=seeds)
    return Ecp5(device=device, **vars(found), **found.modules[0].total)
