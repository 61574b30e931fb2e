"""7-series FPGAs with Yosys: what each module costs, and whether the device has it."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from adagp.files import replace_file

from . import devices, paths
from .areas import areas, table
from .jobs import Job
from .modules import Hierarchy, Module, flat_netlist, synthesise_modules
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


_LIBRARY = ("read_verilog -lib -specify +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v")

#: Steps of ``synth_xilinx`` by label. A module without memories leaves out those that read large libraries for them.
_WHOLE = ("prepare:check",)
_WITHOUT_MEMORIES = ("prepare:map_memory", "map_ffram:check")


def synthesise(source: str, *, top: str, device: str, folder: Path, cache: Path) -> Xc7:
    """The module ``top`` of the Verilog ``source``, with all below it.

    Leaves ``modules.csv``, ``paths.txt`` and the netlist ``netlist.v`` in ``folder``; the runs of Yosys are kept in ``cache``, which
    designs may share. ``device`` is one of :data:`DEVICES` or :data:`ANY`. ``DoesNotFit`` once Yosys has counted,
    ``JobError``, ``MissingTool``.
    """
    hierarchy = Hierarchy.of(source, top)
    finished = synthesise_modules(hierarchy, synthesis_job, cache)
    modules = areas(hierarchy, finished, resources)
    replace_file(folder / "netlist.v", lambda path: path.write_text(
        "\n".join(finished[module].read("netlist.v") for module in hierarchy.modules)))
    replace_file(folder / "modules.csv", lambda path: path.write_text(table(modules)))
    if device != ANY:
        devices.check_counted(_counted(modules[0].total), devices.named(DEVICES, device))
    netlist = flat_netlist("xc7", hierarchy, finished, library=_LIBRARY, folder=folder / "netlist")
    return Xc7(tools=finished[top].job.versions, modules=modules, device=device, **modules[0].total,
               estimate_mhz=paths.report(netlist, TIMING, top=top, folder=folder))


def synthesis_job(module: Module, source: str) -> Job:
    """Yosys on one module, whose children are black boxes."""
    script = [*_LIBRARY, "read_verilog module.v", f"hierarchy -check -top {module.name}",
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


_CLOCKS = frozenset({"C", "CLK", "WCLK", "CLKARDCLK", "CLKBWRCLK"})


def _timing(cell: str, parameters: Mapping[str, str]) -> paths.CellTiming:
    """About speed grade -2 of Virtex-7 and Kintex-7. LUTs, registers and MUXF7 are as in a routed path that Vivado reported
    (some inputs of its LUTs took 0.12 instead of 0.04 ns); carries, shift registers, distributed and block memory and
    multipliers are assumed."""
    if re.fullmatch(r"LUT[1-6]|INV", cell):
        return paths.CellTiming(through={"O": dict.fromkeys(["I", *(f"I{i}" for i in range(6))], 0.05)})
    if re.fullmatch(r"FD[RSCP]E(_1)?", cell):
        return paths.CellTiming(launch={"Q": 0.22}, setup={"D": 0.03, "CE": 0.2, "R": 0.3, "S": 0.3}, ignored=_CLOCKS)
    if cell in ("MUXF7", "MUXF8"):
        return paths.CellTiming(through={"O": {"I0": 0.11, "I1": 0.11, "S": 0.2}}, adjacent=frozenset({"I0", "I1"}))
    if cell == "CARRY4":
        entries = {"S": 0.25, "DI": 0.3, "CYINIT": 0.35}
        return paths.CellTiming(through={"CO": {**entries, "CI": 0.06}, "O": {**entries, "CI": 0.17}}, adjacent=frozenset({"CI", "S"}))
    if re.fullmatch(r"SRL16E|SRLC16E|SRLC32E", cell):
        return paths.CellTiming(launch={"Q": 1.1, "Q31": 1.1, "Q15": 1.1}, setup={"D": 0.15, "CE": 0.2}, ignored=_CLOCKS)
    if cell in _LUTRAM:
        outputs = ("O", "DPO", "SPO", "DOA", "DOB", "DOC", "DOD")
        entries = [*(f"A{i}" for i in range(6)), *(f"DPRA{i}" for i in range(6)), "A", "DPRA", "ADDRA", "ADDRB", "ADDRC"]
        return paths.CellTiming(launch=dict.fromkeys(outputs, 1.0), through=dict.fromkeys(outputs, dict.fromkeys(entries, 0.1)),
                                ignored=_CLOCKS)
    if cell in ("RAMB36E1", "RAMB18E1"):
        launch = {port: 0.65 if int(parameters.get(f"DO{side}_REG", "0"), 2) else 2.1
                  for side, port in (("A", "DOADO"), ("B", "DOBDO"), ("A", "DOPADOP"), ("B", "DOPBDOP"))}
        return paths.CellTiming(launch=launch, setup=dict.fromkeys(_BLOCK_INPUTS, 0.5), ignored=_CLOCKS)
    if cell == "DSP48E1":
        a, b, m, p = (int(parameters.get(f"{name}REG", "1"), 2) for name in "ABMP")
        bare = [name for name, registers in (("A", a), ("B", b)) if not registers]
        if m or p:
            return paths.CellTiming(launch={"P": 0.4 if p else 1.5}, ignored=_CLOCKS,
                                    setup={"A": 0.3, "B": 0.3, "C": 0.3, **dict.fromkeys(bare, 2.3)})
        return paths.CellTiming(launch={"P": 3.3} if len(bare) < 2 else {}, through={"P": {**dict.fromkeys(bare, 3.4), "C": 1.6}},
                                setup={"A": 0.3, "B": 0.3}, ignored=_CLOCKS)
    return paths.CellTiming(ignored=_CLOCKS)


_BLOCK_INPUTS = ("ADDRARDADDR", "ADDRBWRADDR", "DIADI", "DIBDI", "ENARDEN", "ENBWREN", "WEA", "WEBWE")

#: The wires of that path, one of 5 ns, are of 0.3 to 0.6 ns with few loads, of 0.5 to 0.8 with dozens.
TIMING = paths.Timing(cell=_timing, wire=lambda loads: 0.42 + 0.035 * math.log2(loads))
