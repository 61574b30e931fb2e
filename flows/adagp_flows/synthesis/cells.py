"""Standard cells of Debian's osu018 (0.18 µm, 1.8 V, typical): Yosys maps, OpenSTA times and adds up power.

What the figures are: cells before placement. Nets have the capacitance of the pins on them and no
wires, the clock arrives everywhere at once and has no tree. Area is that of the cells, without the
gaps of a floor plan. Memories are neither in the area nor in the power: the library has none. Paths
through them have the times that :mod:`.memory_cells` assumes.
"""

import re
from collections import Counter
from functools import partial
from pathlib import Path

from .activity import Activity, Annotations, annotations
from .cell_netlist import MEMORY, CellNetlist
from .jobs import Job, JobError, relevant_lines, run
from .liberty import Group, parse, with_areas_of_lef
from .memory_cells import memory_cells
from .modules import Hierarchy, Module, synthesise_modules
from .power_view import power_view
from .results import Cells, ModuleArea
from .tools import MissingTool, Tool, find

LIBRARY = Path("/usr/share/qflow/tech/osu018")
LIBERTY, LEF = "osu018_stdcells.lib", "osu018_stdcells.lef"

DRIVER, DRIVER_PIN, LOAD_PF = "DFFPOSX1", "Q", 0.03
"""What is at the ports: a flip-flop of the neighbour, and a few of its gates."""

ARRIVAL_NS, SETUP_NS = 0.3, 0.2
"""Of that flip-flop: from the clock to its output without load, and setup."""

REGISTER_NS = 0.5
"""Of the period, what a flip-flop's delay and setup take: Yosys is asked for the rest."""

INACTIVE = {"aresetn": 1, "supervisor/clear": 0, "rst": 0, "host_rst": 0}
"""Where reset comes from, of the machine or of a part, and its value without reset. Timing is without reset, which needs
a tree of its own, as the clock does, before its paths mean anything."""

REPEATED = 4
"""A module that another one has this many times is mapped once, by itself."""

_MAPPING = """\
read_verilog module.v
read_verilog -lib memory.v
hierarchy -check -top {top}
proc
# Nothing sets the registers of an ASIC when it is switched on.
setattr -unset init w:*
# What only Yosys has named when it wrote the Verilog: registers get the names that they have in the RTL.
rename -hide w:_*_
flatten
opt_clean
synth -run coarse:fine
chtype -set {memory} t:$mem_v2
setparam -unset INIT t:{memory}
opt -fast -full
opt -undriven -fine
techmap -map +/choices/kogge-stone.v
techmap
opt -fast
dfflibmap -liberty cells.lib
opt -fast
abc -script map.abc -liberty cells.lib -D {picoseconds} -constr ports.txt
setundef -zero
opt_clean -purge
# OpenSTA's reader of Verilog knows no concatenation on the left of an assignment: ports of single bits.
{unboxed}splitnets -ports
opt_clean -purge {top}
select {top}
write_verilog -noattr -noexpr -nodec -selected netlist.v
"""
_ABC = """\
strash
&get -n
&st
&dch -f
&nf {D}
&put
buffer -c
topo
upsize {D}
dnsize {D}
stime -p
"""
"""Yosys' own script makes carries ripple, and an element 50 MHz slower for 2 % less area."""

_MEMORY = f"""\
(* blackbox *)
module {MEMORY}(RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  input RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, WR_CLK, WR_EN, WR_ADDR, WR_DATA;
  output RD_DATA;
endmodule
"""
_LINK = """\
read_liberty cells.lib
read_liberty memories.lib
read_verilog netlist.v
link_design {top}
create_clock -name clock -period {period} [get_ports {clock}]
foreach port [all_inputs] {{ set ports([string map {{\\\\ {{}}}} [get_property $port full_name]]) $port }}
"""
_TIMING = f"""\
foreach name [array names ports] {{{{
  if {{{{$name ne "{{clock}}"}}}} {{{{
    set_input_delay {ARRIVAL_NS} -clock clock $ports($name)
    set_driving_cell -lib_cell {DRIVER} -pin {DRIVER_PIN} $ports($name)
  }}}}
}}}}
set_output_delay {SETUP_NS} -clock clock [all_outputs]
set_load {LOAD_PF} [all_outputs]
{{inactive}}report_checks -path_delay max -digits 4 -no_line_splits
"""
_POWER = """\
proc toggle {pin activity duty} {
  if {[llength [set found [get_pins $pin]]] != 1} { error "there is no pin $pin" }
  sta::set_power_pin_activity $found $activity $duty
}
proc toggle_input {name activity duty} {
  global ports
  set_power_activity -input_ports $ports($name) -activity $activity -duty $duty
}
eval [read [open activity.tcl]]
report_power -digits 6
"""


def synthesise(source: str, *, top: str, folder: Path, cache: Path, clock: str = "aclk", clock_ns: float = 5.0,
               activity: Activity | None = None) -> Cells:
    """The module ``top`` of the Verilog ``source``, with all below it, for a period of ``clock_ns`` of the port ``clock``.

    ``activity`` is that of ``top``. OpenSTA's runs and the netlist are left in ``folder``; those of Yosys are kept in
    ``cache``, which designs may share. :class:`MissingTool` before anything is run, ``JobError`` if a tool fails.
    """
    sta, liberty = find("sta"), library()
    described = parse(liberty)
    flip_flops = outputs_of_flip_flops(described)
    hierarchy = mapped_alone(Hierarchy.of(source, top))
    mapped = synthesise_modules(hierarchy, partial(mapping_job, liberty=liberty, clock_ns=clock_ns), cache)
    netlist = CellNetlist("\n".join(mapped[module].read("netlist.v") for module in hierarchy.modules), top)
    timing = run(timing_job(netlist, liberty, sta, clock=clock, clock_ns=clock_ns), folder / "timing")
    power = None
    if activity:
        noted = annotations(netlist, activity, flip_flops=flip_flops)
        power = run(power_job(netlist, power_view(described), sta, noted, clock=clock, clock_ns=clock_ns), folder / "power")
    slack_ns, path = parse_path(timing.log, netlist, flip_flops)
    areas = _areas(hierarchy, netlist, described)
    total = areas[0].total
    return Cells(
        tools=next(iter(mapped.values())).job.versions | {"sta": sta.version}, modules=areas, library="osu018", clock_ns=clock_ns,
        area_um2=total["area_um2"], cells=total["cells"], ff=total["ff"], memory_bits=total["memory_bits"], slack_ns=slack_ns,
        power_w=power and parse_power(power.log)["total"], activity=activity and f"{activity.source}; {noted.coverage}",
        critical_path=path)


def library() -> str:
    """osu018 as Liberty, with the areas of its LEF; :class:`MissingTool`."""
    if not (LIBRARY / LIBERTY).exists():
        raise MissingTool("osu018", "Debian's package qflow-tech-osu018 has it")
    return with_areas_of_lef((LIBRARY / LIBERTY).read_text(), (LIBRARY / LEF).read_text())


def mapped_alone(hierarchy: Hierarchy) -> Hierarchy:
    """The same design with only those modules that are mapped by themselves: what something in it has at least
    :data:`REPEATED` times, and, if there is such, what the top consists of. All others are in what they are part of."""
    modules = hierarchy.modules
    repeated = {child for module in modules.values() for child, count in module.children.items() if count >= REPEATED}
    kept = {hierarchy.top} | repeated | (set(modules[hierarchy.top].children) if repeated else set())

    def contents(name: str) -> Counter[str]:
        found = Counter({name: 1})
        for child, count in modules[name].children.items():
            if child not in kept:
                found.update({inner: number * count for inner, number in contents(child).items()})
        return found

    def unit(name: str) -> Module:
        children: Counter[str] = Counter()
        for part, number in contents(name).items():
            children.update({child: number * count for child, count in modules[part].children.items() if child in kept})
        return Module(name=name, text="\n".join(modules[part].text for part in contents(name)), children=children)

    return Hierarchy({name: unit(name) for name in modules if name in kept}, hierarchy.top)


def mapping_job(module: Module, source: str, *, liberty: str, clock_ns: float) -> Job:
    """Yosys: ``source`` to ``netlist.v``."""
    unboxed = "".join(f"setattr -mod -unset blackbox ={child}\n" for child in sorted(module.children))
    script = _MAPPING.format(top=module.name, memory=MEMORY, unboxed=unboxed, picoseconds=round(1000 * (clock_ns - REGISTER_NS)))
    ports = f"set_driving_cell {DRIVER}\nset_load {1000 * LOAD_PF}\n"
    return Job(name=f"osu018 {module.name}", tools=(find("yosys"),), outputs=("netlist.v",), commands=(("yosys", "map.ys"),),
               inputs={"module.v": source, "memory.v": _MEMORY, "cells.lib": liberty, "ports.txt": ports, "map.abc": _ABC, "map.ys": script})


def timing_job(netlist: CellNetlist, liberty: str, sta: Tool, *, clock: str, clock_ns: float) -> Job:
    """OpenSTA: the worst path."""
    places = {path for path, _ in netlist.places()}
    inactive = "".join([f"set_case_analysis {value} $ports({name})\n" for name, value in INACTIVE.items() if name in netlist.inputs] + [
        f"set_case_analysis {value} [get_pins {name}]\n" for name, value in INACTIVE.items() if name.rpartition("/")[0] in places - {""}])
    return _sta_job("timing", netlist, sta, {"cells.lib": liberty}, _TIMING.format(clock=clock, inactive=inactive), clock, clock_ns)


def power_job(netlist: CellNetlist, view: str, sta: Tool, noted: Annotations, *, clock: str, clock_ns: float) -> Job:
    """OpenSTA: the power of the whole; ``view`` is that of :func:`power_view`."""
    inputs = {"cells.lib": view, "activity.tcl": "\n".join([*noted.lines, ""])}
    return _sta_job("power", netlist, sta, inputs, _POWER, clock, clock_ns)


def _sta_job(what: str, netlist: CellNetlist, sta: Tool, inputs: dict[str, str], script: str, clock: str, clock_ns: float) -> Job:
    script = _LINK.format(top=netlist.top, period=clock_ns, clock=clock) + script
    # By itself, OpenSTA would go on after an error; and its exit status is 0, whatever it is told.
    checked = f'if {{[catch {{\n{script}}} error]}} {{\n  puts "Error: $error"\n  flush stdout\n  exec kill [pid]\n}}\n'
    return Job(name=f"{what} of {netlist.top}", tools=(sta,), outputs=(), commands=(("sta", "-no_splash", "-exit", "run.tcl"),),
               inputs=inputs | {"netlist.v": netlist.with_memories_as_cells(), "memories.lib": memory_cells(netlist.shapes()),
                                "run.tcl": checked})


def parse_path(log: str, netlist: CellNetlist, flip_flops: dict[str, str]) -> tuple[float, tuple[str, ...]]:
    """Slack in ns, and the path that OpenSTA reported: the register bit where it starts, each cell with its delay, and the
    register bit where it ends. Registers and ports have their places in the design, joined by ``/``."""
    slack = re.search(r"^ +(-?[\d.]+) +slack", log, re.MULTILINE)
    if not slack:
        raise JobError("OpenSTA found no path:\n" + "\n".join(relevant_lines(log)))

    def named(point: str) -> str:
        place = re.search(rf"^{point}: (\S+) \(", log, re.MULTILINE)[1].replace("\\", "")
        return netlist.register(place, flip_flops)

    arrival = log.partition("data arrival time")[0]
    rows = re.findall(r"^ +(-?[\d.]+) +-?[\d.]+ [v^] \S+ \((\w+)\)$", arrival, re.MULTILINE)
    cells = [f"{cell} {float(delay):.3f} ns" for delay, cell in rows if float(delay)]
    return float(slack[1]), (f"from {named('Startpoint')}", *cells, f"to {named('Endpoint')}")


def parse_power(log: str) -> dict[str, float]:
    """``internal``, ``switching``, ``leakage`` and ``total`` in W."""
    total = re.search(r"^Total +(\S+) +(\S+) +(\S+) +(\S+)", log, re.MULTILINE)
    if not total:
        raise JobError("OpenSTA reported no power:\n" + "\n".join(relevant_lines(log)))
    return dict(zip(("internal", "switching", "leakage", "total"), map(float, total.groups())))


def outputs_of_flip_flops(described: Group) -> dict[str, str]:
    """The library's flip-flops and the pin that is their output."""
    return {cell.name: next(pin.name for pin in cell.of("pin") if pin.attributes["direction"] == "output")
            for cell in described.of("cell") if cell.of("ff")}


def _areas(hierarchy: Hierarchy, netlist: CellNetlist, described: Group) -> tuple[ModuleArea, ...]:
    areas, flip_flops = {cell.name: cell.number("area") for cell in described.of("cell")}, outputs_of_flip_flops(described)
    own = {}
    for module in hierarchy.modules:
        cells = netlist.cells(module)
        own[module] = Counter(
            area_um2=sum(areas[cell] * number for cell, number in cells.items()), cells=cells.total(),
            ff=sum(cells[cell] for cell in flip_flops), memory_bits=sum(shape.bits for shape in netlist.memories(module)))
    total = hierarchy.with_children(own)
    return tuple(ModuleArea(module=module, instances=instances, own=dict(own[module]), total=dict(total[module]),
                            children=dict(hierarchy.modules[module].children))
                 for module, instances in hierarchy.instances.items())
