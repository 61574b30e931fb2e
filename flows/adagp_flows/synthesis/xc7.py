"""7-series FPGAs with Yosys: what each module costs, and whether the device has it."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig

from .jobs import Job
from .modules import Hierarchy, Module, synthesise_modules
from .results import ModuleArea, Xc7
from .tools import find

RESOURCES = ("lut", "ff", "ramb36", "ramb18", "dsp", "srl", "lutram", "muxf7", "muxf8", "carry4")


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a device has, from AMD's DS180."""

    name: str
    lut: int
    ff: int
    ramb36: int
    dsp: int


DEVICES = {device.name: device for device in (
    Device(name="xc7a35t", lut=20_800, ff=41_600, ramb36=50, dsp=90),
    Device(name="xc7a100t", lut=63_400, ff=126_800, ramb36=135, dsp=240),
    Device(name="xc7a200t", lut=134_600, ff=269_200, ramb36=365, dsp=740),
    Device(name="xc7z020", lut=53_200, ff=106_400, ramb36=140, dsp=220),
    Device(name="xc7z045", lut=218_600, ff=437_200, ramb36=545, dsp=900),
    Device(name="xc7k325t", lut=203_800, ff=407_600, ramb36=445, dsp=840),
    Device(name="xc7vx485t", lut=303_600, ff=607_200, ramb36=1_030, dsp=2_800),
    Device(name="xc7vx690t", lut=433_200, ff=866_400, ramb36=1_470, dsp=3_600))}

VC707 = "xc7vx485t"
"""The device of the board that the paper used."""

_RAMB36_BITS = 36 * 1024


class DoesNotFit(ValueError):
    """The device has less than the design needs."""


def device(name: str) -> Device:
    """Of :data:`DEVICES`; ValueError."""
    if name not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    return DEVICES[name]


def check_fits(config: AcceleratorConfig, name: str) -> None:
    """Refuses, before hours are spent, what certainly needs more than the device ``name`` has: a multiplier for each
    element of the arrays, and the bits of the large memories. :class:`DoesNotFit`."""
    found = device(name)
    elements, bits = _least(config)
    if elements > found.dsp:
        raise DoesNotFit(f"{name} has {found.dsp:,} DSP48E1, and the {elements:,} elements of the arrays need one each")
    if bits > found.ramb36 * _RAMB36_BITS:
        raise DoesNotFit(f"{name} has {found.ramb36:,} RAMB36, and the memories need at least {-(-bits // _RAMB36_BITS):,} "
                         f"for {bits:,} bits")


def _least(config: AcceleratorConfig) -> tuple[int, int]:
    """Elements of the arrays, bits of operand, vector and predictor memories."""
    arrays = [config.array] + [config.predictor_array] * config.design.has_predictor_array
    elements = sum(array.rows * array.columns for array in arrays)
    operands = sum(array.stream_elements + array.stationary_elements for array in arrays)
    words = config.vector_elements + config.predictor_elements * config.design.has_predictor_memory
    return elements, operands * config.operand.bits + words * config.accumulator.bits


def excess(result: Xc7) -> list[str]:
    """What of ``result`` its device has less of, in words; empty if it fits."""
    found = device(result.device)
    needs = {"lut": result.lut, "ff": result.ff, "ramb36": result.ramb36 + -(-result.ramb18 // 2), "dsp": result.dsp}
    return [f"{resource} {needed:,} of {getattr(found, resource):,}" for resource, needed in needs.items()
            if needed > getattr(found, resource)]


#: Steps of ``synth_xilinx`` by label. A module without memories leaves out those that read large libraries for them.
_WHOLE = ("prepare:check",)
_WITHOUT_MEMORIES = ("prepare:map_memory", "map_ffram:check")


def synthesise(source: str, *, top: str, name: str, folder: Path, cache: Path) -> Xc7:
    """The module ``top`` of the Verilog ``source``, with all below it, for the device ``name``.

    Leaves ``modules.csv`` and the netlist ``netlist.v`` in ``folder``; the runs of Yosys are kept in ``cache``, which
    designs may share. ``JobError``.
    """
    device(name)
    hierarchy = Hierarchy.of(source, top)
    finished = synthesise_modules(hierarchy, _job, cache)
    own = {module: resources(cells(run.read("stat.json"), module)) for module, run in finished.items()}
    total = hierarchy.with_children(own)
    areas = tuple(ModuleArea(module=module, instances=instances, own=dict(own[module]), total=dict(total[module]),
                             children=dict(hierarchy.modules[module].children))
                  for module, instances in hierarchy.instances.items())
    netlist = "\n".join(finished[module].read("netlist.v") for module in hierarchy.modules)
    replace_file(folder / "netlist.v", lambda path: path.write_text(netlist))
    replace_file(folder / "modules.csv", lambda path: path.write_text(table(areas)))
    return Xc7(tools=next(iter(finished.values())).job.versions, modules=areas, device=name,
               **{resource: total[top][resource] for resource in RESOURCES})


def _job(module: Module, source: str) -> Job:
    """Yosys on one module, whose children are black boxes."""
    script = ["read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v",
              "read_verilog module.v", f"hierarchy -check -top {module.name}",
              *(f"synth_xilinx -family xc7 -noiopad -noclkbuf -run {labels}"
                for labels in (_WHOLE if module.has_memory else _WITHOUT_MEMORIES)),
              "tee -q -o stat.json stat -json", "write_verilog -noattr netlist.v"]
    return Job(name=f"xc7 {module.name}", inputs={"module.v": source, "script.ys": "\n".join(script) + "\n"},
               commands=(("yosys", "script.ys"),), outputs=("stat.json", "netlist.v"), tools=(find("yosys"),))


def cells(stat: str, module: str) -> Counter:
    """Cells of ``module`` by type, from what ``stat -json`` writes."""
    return Counter(json.loads(stat)["modules"][f"\\{module}"]["num_cells_by_type"])


#: LUTs that a distributed memory takes.
_LUTRAM = {"RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1S": 2, "RAM128X1D": 4, "RAM256X1S": 4,
           "RAM32M": 4, "RAM64M": 4}
_SINGLE = {"RAMB36E1": "ramb36", "RAMB18E1": "ramb18", "DSP48E1": "dsp", "MUXF7": "muxf7", "MUXF8": "muxf8", "CARRY4": "carry4"}


def resources(found: Counter) -> Counter:
    """The cells of 7-series as :data:`RESOURCES`; other cells, such as instances of modules, are not counted.

    Each LUT1 to LUT6 is one ``lut``, though a LUT may hold two of at most five inputs in all; so is each inverter, and
    each shift register, though a LUT may hold two of at most 16 stages.
    """
    result = Counter(dict.fromkeys(RESOURCES, 0))
    for cell, count in found.items():
        if re.fullmatch(r"LUT[1-6]|INV", cell):
            result["lut"] += count
        elif re.fullmatch(r"SRL16E|SRLC16E|SRLC32E", cell):
            result["srl"] += count
        elif cell in _LUTRAM:
            result["lutram"] += count * _LUTRAM[cell]
        elif re.fullmatch(r"FD[RSCP]E(_1)?|LD[CP]E", cell):
            result["ff"] += count
        elif cell in _SINGLE:
            result[_SINGLE[cell]] += count
        elif cell.startswith("$"):
            raise ValueError(f"Yosys left a cell that no 7-series device has: {cell}")
    result["lut"] += result["srl"] + result["lutram"]
    return result


def table(areas: tuple[ModuleArea, ...]) -> str:
    """As CSV, a row per module: instances, cells of one instance alone, and of one with all below it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["module", "instances", *RESOURCES, *(f"{resource} with children" for resource in RESOURCES)])
    for area in areas:
        writer.writerow([area.module, area.instances, *(area.own[resource] for resource in RESOURCES),
                         *(area.total[resource] for resource in RESOURCES)])
    return text.getvalue()
