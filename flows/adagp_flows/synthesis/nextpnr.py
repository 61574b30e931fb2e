"""Yosys and nextpnr: what a design costs and how fast it is, placed and routed, on a family of FPGAs.

Yosys works module by module; nextpnr gets the whole, between the registers of :mod:`.harness`, once for each seed.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low

from adagp.files import replace_file

from . import paths
from .areas import areas, table
from .devices import Device, check_counted
from .harness import scan_chain
from .jobs import Finished, Job, run, run_all
from .modules import Hierarchy, Module, flat_netlist, synthesise_modules
from .results import ModuleArea
from .tools import find

SEEDS = (1, 2, 3, 4, 5)

_CELL_NAME = re.compile(r"_(?:TRELLIS_FF|LUT4|PFUMX|L6MUX21|CCU2C|TRELLIS_DPR16X4|SB_[A-Z0-9]+)_.*")


@dataclass(frozen=True, kw_only=True)
class Family:
    """What differs from one to the next.

    ``synthesise``: the commands of Yosys for a device and a module, mapped but not written, and its ``library`` of cells.
    ``costs``: by cell the resource that it takes, and how much. ``blocks``: Verilog that makes a module out of cells by hand,
    by the end of the module's name. ``timing``: of what is not placed yet, where it is known.
    ``place``: nextpnr's arguments for a device and a clock in
    MHz, and the files beside ``netlist.json`` that they name; it writes ``placed``, of which ``packer`` makes ``bitstream``.
    """

    name: str
    synthesise: Callable[[str, str], Sequence[str]]
    library: str
    costs: Mapping[str, tuple[str, int]]
    timing: paths.Timing | None = None
    blocks: Mapping[str, str] = field(default_factory=dict)
    place: Callable[[str, float], tuple[Sequence[str], Mapping[str, str]]]
    placed: str
    packer: tuple[str, ...]
    bitstream: str

    @property
    def nextpnr(self) -> str:
        return f"nextpnr-{self.name}"

    def resources(self, cells: Counter, names: Sequence[str]) -> Counter:
        """``cells`` as the resources ``names``; cells without costs, such as instances of modules, are not counted."""
        result = Counter(dict.fromkeys(names, 0))
        for cell, count in cells.items():
            if cell in self.costs:
                resource, each = self.costs[cell]
                result[resource] += each * count
        return result


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """``modules``: the design's, its top first. ``estimate_mhz``: see :mod:`.paths`.
    ``fmax_by_seed`` in MHz; ``fmax_mhz`` is their median, of an even number the
    lower one in the middle; ``critical_path`` is that of the same seed."""

    tools: Mapping[str, str]
    modules: tuple[ModuleArea, ...]
    estimate_mhz: float | None
    fmax_by_seed: Mapping[int, float]
    fmax_mhz: float
    critical_path: tuple[str, ...]


def implement(family: Family, device: Device, source: str, *, top: str, clock: str, clock_mhz: float, folder: Path, cache: Path,
              seeds: Sequence[int]) -> Implementation:
    """The module ``top`` of the Verilog ``source``, which has the clock input ``clock``.

    nextpnr tries for ``clock_mhz``; what is reached is the result, be it less or more. Leaves ``modules.csv``, ``paths.txt`` and the
    fastest seed's bitstream, of the design in its scan chain, in ``folder``; the runs of Yosys are kept in ``cache``, which
    designs may share. ``DoesNotFit`` once Yosys has counted, ``JobError``, ``MissingTool``.
    """
    nextpnr, packer = find(family.nextpnr), find(family.packer[0])
    chain, harness = scan_chain(source, top=top, clock=clock)
    hierarchy = Hierarchy.of(source + harness, chain)
    finished = synthesise_modules(hierarchy, lambda module, text: synthesis_job(family, device, module, text), cache)
    whole, *modules = areas(hierarchy, finished, lambda cells: family.resources(cells, list(device.capacity)))
    replace_file(folder / "modules.csv", lambda path: path.write_text(table(tuple(modules))))
    check_counted(whole.total, device)
    text = flat_netlist(family.name, hierarchy, finished, library=(family.library,), folder=folder / "netlist")
    estimate = paths.report(text, family.timing, top=chain, folder=folder) if family.timing else None
    jobs = [(_placement(family, device, top, text, clock_mhz, seed), folder / f"seed{seed}") for seed in seeds]
    placed = dict(zip(seeds, run_all(jobs)))
    reports = {seed: json.loads(run.read("report.json")) for seed, run in placed.items()}
    fmax = {seed: _fmax(report) for seed, report in reports.items()}
    _pack(family, top, placed[max(fmax, key=fmax.get)], folder)
    middle = median_low(fmax.values())
    return Implementation(
        tools=finished[chain].job.versions | {tool.name: tool.version for tool in (nextpnr, packer)}, modules=tuple(modules),
        estimate_mhz=estimate, fmax_by_seed=fmax, fmax_mhz=middle,
        critical_path=critical_path(reports[next(seed for seed in fmax if fmax[seed] == middle)]))


def critical_path(report: Mapping) -> tuple[str, ...]:
    """The slowest path from register to register in nextpnr's report, a line per cell or wire with its delay in ns. Names
    are those of the nearest signal that the design's source has."""
    path = next(each for each in report["critical_paths"] if each["from"] == each["to"])
    return tuple(f"{step['delay']:6.2f} {step['type']:8} {_CELL_NAME.sub('', step.get('net') or step['to']['cell'])}"
                 for step in path["path"])


def _fmax(report: Mapping) -> float:
    """Of the only clock."""
    (clock,) = report["fmax"].values()
    return clock["achieved"]


def synthesis_job(family: Family, device: Device, module: Module, source: str) -> Job:
    """Yosys on one module, whose children are black boxes."""
    source = next((text.replace(f"module {block}", f"module {module.name}") for block, text in family.blocks.items()
                   if module.name.endswith(f"_{block}")), source)
    script = ["read_verilog module.v", *family.synthesise(device.name, module.name), "autoname", "tee -q -o stat.json stat -json",
              "write_verilog -noattr netlist.v"]
    return Job(name=f"{family.name} {module.name}", inputs={"module.v": source, "script.ys": "\n".join(script) + "\n"},
               commands=(("yosys", "script.ys"),), outputs=("stat.json", "netlist.v"), tools=(find("yosys"),))


def _placement(family: Family, device: Device, top: str, netlist: str, clock_mhz: float, seed: int) -> Job:
    arguments, files = family.place(device.name, clock_mhz)
    command = (family.nextpnr, *arguments, "--json", "netlist.json", "--seed", str(seed), "--timing-allow-fail",
               "--report", "report.json")
    return Job(name=f"{family.name} {top} seed {seed}", inputs={"netlist.json": netlist, **files}, commands=(command,),
               outputs=("report.json", family.placed), tools=(find(family.nextpnr),))


def _pack(family: Family, top: str, placed: Finished, folder: Path) -> None:
    job = Job(name=f"{family.name} bitstream of {top}", inputs={family.placed: placed.read(family.placed)}, commands=(family.packer,),
              outputs=(family.bitstream,), tools=(find(family.packer[0]),))
    packed = run(job, folder / "bitstream")
    replace_file(folder / family.bitstream, lambda path: path.write_bytes((packed.folder / family.bitstream).read_bytes()))
