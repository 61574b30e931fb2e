"""7-series FPGAs with Yosys: what each module costs, and whether the device has it."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from adagp.files import replace_file

from . import devices
from .areas import areas, table
from .jobs import Job
from .modules import Hierarchy, Module, synthesise_modules
from .results import Xc7
from .tools import find

RESOURCES = ("lut", "ff", "ramb36", "ramb18", "dsp", "srl", "lutram", "muxf7", "muxf8", "carry4")


def _device(name: str, lut: int, ramb36: int, dsp: int) -> devices.Device:
    return devices.Device(name=name, capacity={"lut": lut, "ff": 2 * lut, "ramb36": ramb36, "dsp": dsp}, memory_bits=ramb36 * 36 * 1024)


DEVICES = (_device("xc7a35t", 20_800, 50, 90), _device("xc7a100t", 63_400, 135, 240), _device("xc7a200t", 134_600, 365, 740),
           _device("xc7z020", 53_200, 140, 220), _device("xc7z045", 218_600, 545, 900), _device("xc7k325t", 203_800, 445, 840),
           _device("xc7vx485t", 303_600, 1_030, 2_800), _device("xc7vx690t", 433_200, 1_470, 3_600))
"""From AMD's DS180 and, with processors, DS190."""

VC707 = "xc7vx485t"
"""The device of the board that the paper used."""

ANY = "any"
"""In place of a device: cells are counted, be they more than any device has, as the paper's block memories are."""


def smallest(resources: Mapping[str, int]) -> str | None:
    """The device with the fewest LUTs that has room for ``resources``, those of :class:`Xc7`; None if none has."""
    fitting = [device for device in DEVICES if not devices.excess(_counted(resources), device)]
    return min(fitting, key=lambda device: device.capacity["lut"]).name if fitting else None


def _counted(resources: Mapping[str, int]) -> dict[str, int]:
    """By what devices have: two RAMB18 share a RAMB36."""
    return {**resources, "ramb36": resources["ramb36"] + -(-resources["ramb18"] // 2)}


#: Steps of ``synth_xilinx`` by label. A module without memories leaves out those that read large libraries for them.
_WHOLE = ("prepare:check",)
_WITHOUT_MEMORIES = ("prepare:map_memory", "map_ffram:check")


def synthesise(source: str, *, top: str, device: str, folder: Path, cache: Path) -> Xc7:
    """The module ``top`` of the Verilog ``source``, with all below it.

    Leaves ``modules.csv`` and the netlist ``netlist.v`` in ``folder``; the runs of Yosys are kept in ``cache``, which
    designs may share. ``device`` is one of :data:`DEVICES` or :data:`ANY`. ``DoesNotFit`` once Yosys has counted,
    ``JobError``, ``MissingTool``.
    """
    hierarchy = Hierarchy.of(source, top)
    finished = synthesise_modules(hierarchy, synthesis_job, cache)
    modules = areas(hierarchy, finished, resources)
    netlist = "\n".join(finished[module].read("netlist.v") for module in hierarchy.modules)
    replace_file(folder / "netlist.v", lambda path: path.write_text(netlist))
    replace_file(folder / "modules.csv", lambda path: path.write_text(table(modules)))
    if device != ANY:
        devices.check_counted(_counted(modules[0].total), devices.named(DEVICES, device))
    return Xc7(tools=finished[top].job.versions, modules=modules, device=device, **modules[0].total)


def synthesis_job(module: Module, source: str) -> Job:
    """Yosys on one module, whose children are black boxes."""
    script = ["read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v",
              "read_verilog module.v", f"hierarchy -check -top {module.name}",
              *(f"synth_xilinx -family xc7 -noiopad -noclkbuf -run {labels}"
                for labels in (_WHOLE if module.has_memory else _WITHOUT_MEMORIES)),
              "tee -q -o stat.json stat -json", "write_verilog -noattr netlist.v"]
    return Job(name=f"xc7 {module.name}", inputs={"module.v": source, "script.ys": "\n".join(script) + "\n"},
               commands=(("yosys", "script.ys"),), outputs=("stat.json", "netlist.v"), tools=(find("yosys"),))


#: LUTs that a distributed memory takes.
_LUTRAM = {"RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1S": 2, "RAM128X1D": 4, "RAM256X1S": 4,
           "RAM32M": 4, "RAM64M": 4}
_SINGLE = {"RAMB36E1": "ramb36", "RAMB18E1": "ramb18", "DSP48E1": "dsp", "MUXF7": "muxf7", "MUXF8": "muxf8", "CARRY4": "carry4"}


def resources(cells: Counter) -> Counter:
    """The cells of 7-series as :data:`RESOURCES`; other cells, such as instances of modules, are not counted.

    Each LUT1 to LUT6 is one ``lut``, though a LUT may hold two of at most five inputs in all; so is each inverter, and
    each shift register, though a LUT may hold two of at most 16 stages.
    """
    result = Counter(dict.fromkeys(RESOURCES, 0))
    for cell, count in cells.items():
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
    result["lut"] += result["srl"] + result["lutram"]
    return result
