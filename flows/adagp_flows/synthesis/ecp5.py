"""Lattice ECP5 with Yosys and nextpnr: what a design costs and how fast it is, placed and routed.

Yosys works module by module; nextpnr gets the whole, between the registers of :mod:`.harness`, with several seeds.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median_low

from adagp.files import replace_file

from .areas import areas, table
from .devices import Device, check_counted, named
from .harness import scan_chain
from .jobs import Finished, Job, run, run_all
from .modules import Hierarchy, Module, synthesise_modules
from .results import Ecp5
from .tools import find

SEEDS = (1, 2, 3, 4, 5)
SPEED, PACKAGE = "6", "CABGA381"


def _device(name: str, lut: int, bram: int, dsp: int) -> Device:
    return Device(name=name, capacity={"lut": lut, "ff": lut, "bram": bram, "dsp": dsp}, memory_bits=bram * 18 * 1024)


DEVICES = (_device("25k", 24_288, 56, 28), _device("45k", 43_848, 108, 72), _device("85k", 83_640, 208, 156))
"""LFE5U-25F, -45F and -85F, from Lattice's FPGA-DS-02012."""

RESOURCES = ("lut", "ff", "bram", "dsp")

_COST = {"LUT4": ("lut", 1), "CCU2C": ("lut", 2), "TRELLIS_DPR16X4": ("lut", 6), "TRELLIS_FF": ("ff", 1), "DP16KD": ("bram", 1),
         "MULT18X18D": ("dsp", 1)}
_CELL_NAME = re.compile(r"_(?:TRELLIS_FF|LUT4|PFUMX|L6MUX21|CCU2C|TRELLIS_DPR16X4)_.*")
_LIBRARY = "read_verilog -lib -specify +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v"


def synthesise(source: str, *, top: str, clock: str, device: str, clock_mhz: float, folder: Path, cache: Path,
               seeds: Sequence[int] = SEEDS) -> Ecp5:
    """The module ``top`` of the Verilog ``source``, which has the clock input ``clock``, for ``device`` in speed grade 6.

    Tries for ``clock_mhz`` with each of ``seeds``; what is reached is the result, be it less or more. Leaves ``modules.csv``
    and the bitstream of the fastest seed, ``scan.bit``, in ``folder``; the runs of Yosys are kept in ``cache``, which designs
    may share. ``DoesNotFit`` once Yosys has counted, ``JobError``, ``MissingTool``.
    """
    target, nextpnr, ecppack = named(DEVICES, device), find("nextpnr-ecp5"), find("ecppack")
    chain, harness = scan_chain(source, top=top, clock=clock)
    hierarchy = Hierarchy.of(source + harness, chain)
    finished = synthesise_modules(hierarchy, _job, cache)
    whole, *modules = areas(hierarchy, finished, resources)
    check_counted(whole.total, target)
    replace_file(folder / "modules.csv", lambda path: path.write_text(table(tuple(modules))))
    netlist = run(_assembly(chain, [finished[name].read("netlist.v") for name in hierarchy.modules]), folder / "netlist")
    placed = run_all([(_placement(top, netlist.read("netlist.json"), device, clock_mhz, seed), folder / f"seed{seed}") for seed in seeds])
    reports = [json.loads(each.read("report.json")) for each in placed]
    fmax = {seed: _fmax(report) for seed, report in zip(seeds, reports)}
    fastest = placed[max(range(len(seeds)), key=lambda index: fmax[seeds[index]])]
    _pack(top, fastest, folder)
    middle = median_low(fmax.values())
    shown = next(report for seed, report in zip(seeds, reports) if fmax[seed] == middle)
    tools = finished[chain].job.versions | {tool.name: tool.version for tool in (nextpnr, ecppack)}
    return Ecp5(tools=tools, modules=tuple(modules), device=device, fmax_mhz=middle, fmax_by_seed=fmax,
                critical_path=critical_path(shown), **modules[0].total)


def resources(cells: Counter) -> Counter:
    """The cells of ECP5 as :data:`RESOURCES`. A pair of carry bits takes two LUT4, 16 words of 4 bits of memory take four
    and those of the slice that writes them; the multiplexers of wide functions take none."""
    result = Counter(dict.fromkeys(RESOURCES, 0))
    for cell, count in cells.items():
        if cell in _COST:
            resource, each = _COST[cell]
            result[resource] += each * count
    return result


def critical_path(report: dict) -> tuple[str, ...]:
    """The slowest path from register to register in nextpnr's report, a line per cell or wire with its delay in ns. Names
    are those of the nearest signal that the design's source has."""
    path = next(each for each in report["critical_paths"] if each["from"] == each["to"])
    return tuple(f"{step['delay']:6.2f} {step['type']:8} {_CELL_NAME.sub('', step.get('net') or step['to']['cell'])}"
                 for step in path["path"])


def _fmax(report: dict) -> float:
    """Of the only clock."""
    (clock,) = report["fmax"].values()
    return clock["achieved"]


def _job(module: Module, source: str) -> Job:
    """Yosys on one module, whose children are black boxes."""
    script = ["read_verilog module.v", f"synth_ecp5 -top {module.name} -run begin:check", "autoname", "tee -q -o stat.json stat -json",
              "write_verilog -noattr netlist.v"]
    return Job(name=f"ecp5 {module.name}", inputs={"module.v": source, "script.ys": "\n".join(script) + "\n"},
               commands=(("yosys", "script.ys"),), outputs=("stat.json", "netlist.v"), tools=(find("yosys"),))


def _assembly(top: str, netlists: Sequence[str]) -> Job:
    """Yosys: the netlists of all modules as that of the whole, for nextpnr."""
    script = [_LIBRARY, "read_verilog modules.v", f"hierarchy -check -top {top}", "flatten", "opt_clean", "blackbox =A:whitebox", "write_json netlist.json"]
    return Job(name=f"ecp5 netlist of {top}", inputs={"modules.v": "\n".join(netlists), "script.ys": "\n".join(script) + "\n"},
               commands=(("yosys", "script.ys"),), outputs=("netlist.json",), tools=(find("yosys"),))


def _placement(top: str, netlist: str, device: str, clock_mhz: float, seed: int) -> Job:
    """nextpnr with one seed."""
    command = ("nextpnr-ecp5", f"--{device}", "--speed", SPEED, "--package", PACKAGE, "--json", "netlist.json", "--lpf", "clock.lpf",
               "--lpf-allow-unconstrained", "--timing-allow-fail", "--seed", str(seed), "--report", "report.json",
               "--textcfg", "placed.config")
    return Job(name=f"ecp5 {top} seed {seed}", inputs={"netlist.json": netlist, "clock.lpf": f'FREQUENCY PORT "clock" {clock_mhz:g} MHZ;\n'},
               commands=(command,), outputs=("report.json", "placed.config"), tools=(find("nextpnr-ecp5"),))


def _pack(top: str, placed: Finished, folder: Path) -> None:
    job = Job(name=f"ecp5 bitstream of {top}", inputs={"placed.config": placed.read("placed.config")},
              commands=(("ecppack", "--compress", "placed.config", "scan.bit"),), outputs=("scan.bit",), tools=(find("ecppack"),))
    packed = run(job, folder / "bitstream")
    replace_file(folder / "scan.bit", lambda path: path.write_bytes((packed.folder / "scan.bit").read_bytes()))
