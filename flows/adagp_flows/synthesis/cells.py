"""Standard cells of Debian's osu018 (0.18 µm, 1.8 V, typical): Yosys maps, OpenSTA times and adds up power.

What the figures are: cells before placement. Nets have the capacitance of the pins on them and no
wires, the clock arrives everywhere at once and has no tree. Area is that of the cells, without the
gaps of a floor plan. Memories are neither in the area nor in the power: the library has none. They
are listed by :attr:`Cells.memories`, and paths through them have an assumed time.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from .activity import Activity, Annotations, annotations
from .cell_netlist import MEMORY, CellNetlist, Shape
from .jobs import Job, JobError, run
from .liberty import Group, parse, with_areas_of_lef
from .memory_cells import ACCESS_NS, SETUP_NS, memory_cells
from .power_view import power_view
from .tools import MissingTool, Tool, find

LIBRARY = Path("/usr/share/qflow/tech/osu018")
LIBERTY, LEF = "osu018_stdcells.lib", "osu018_stdcells.lef"

DRIVER, DRIVER_PIN, LOAD_PF = "DFFPOSX1", "Q", 0.03
"""What is at the ports: a flip-flop of the neighbour, and a few of its gates."""

REGISTER_NS = 0.5
"""Of the period, what a flip-flop's delay and setup take: Yosys is asked for the rest."""

REPEATED = 4
"""A module that another one has this many times is mapped once, by itself."""

_SCRIPT = """\
read_verilog design.v
read_verilog -lib memory.v
hierarchy -check -top {top}
{keep}proc
# Nothing sets the registers of an ASIC when it is switched on.
setattr -unset init w:*
flatten
opt_clean
synth -run coarse:fine
chtype -set {memory} t:$mem_v2
setparam -unset INIT t:{memory}
opt -fast -full
opt -undriven -fine
techmap
opt -fast
dfflibmap -liberty cells.lib
opt -fast
abc -liberty cells.lib -D {picoseconds} -constr ports.txt
setundef -zero
opt_clean -purge
# OpenSTA's reader of Verilog knows no concatenation on the left of an assignment.
splitnets -ports
opt_clean -purge
write_verilog -noattr -noexpr -nodec netlist.v
"""
_MEMORY = f"""\
(* blackbox *)
module {MEMORY}(RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  input RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, WR_CLK, WR_EN, WR_ADDR, WR_DATA;
  output RD_DATA;
endmodule
"""
_LINK = """\
read_liberty {library}
read_liberty memories.lib
read_verilog netlist.v
link_design {top}
create_clock -name clock -period {period} [get_ports {clock}]
foreach port [all_inputs] {{ set ports([string map {{\\\\ {{}}}} [get_property $port full_name]]) $port }}
"""
_TIMING = """\
foreach name [array names ports] {{
  if {{$name ne "{clock}"}} {{
    set_input_delay 0.3 -clock clock $ports($name)
    set_driving_cell -lib_cell {driver} -pin {pin} $ports($name)
  }}
}}
set_output_delay 0.2 -clock clock [all_outputs]
set_load {load} [all_outputs]
report_checks -path_delay max -digits 4 -no_line_splits
foreach place {{{places}}} {{
  puts "place $place"
  report_checks -path_delay max -to [get_cells $place] -digits 4 -no_line_splits
}}
"""
_POWER = """\
proc switch {{pin activity duty}} {{ sta::set_power_pin_activity [get_pins $pin] $activity $duty }}
proc switch_input {{name activity duty}} {{
  global ports
  set_power_activity -input_ports $ports($name) -activity $activity -duty $duty
}}
source activity.tcl
report_power -digits 6
"""


@dataclass(frozen=True, kw_only=True)
class CellPath:
    """A path from register to register. ``start`` and ``end`` are bits of the design, a place joined by ``/``; ``cells`` the
    kinds of cells on it, with their delays in ns."""

    start: str
    end: str
    slack_ns: float
    cells: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class ModuleCells:
    """A module that was mapped once: ``count`` instances, each with its own cells (not those of modules in it that are
    listed too) and the worst path that ends in one of its registers, if there is any."""

    module: str
    count: int
    cells: int
    area_um2: float
    registers: int
    path: CellPath | None


@dataclass(frozen=True, kw_only=True)
class Cells:
    """A design in osu018 cells. ``area_um2``, ``registers`` (bits) and ``power_w`` are without ``memories`` (place and shape
    of each); ``power_w`` is None, and ``activity`` empty, where nothing was simulated. The three parts of the power
    are ``internal_w`` (clock pins included), ``switching_w`` and ``leakage_w``."""

    area_um2: float
    slack_ns: float
    power_w: float | None
    clock_ns: float
    path: CellPath
    modules: tuple[ModuleCells, ...]
    memories: tuple[tuple[str, Shape], ...]
    registers: int
    activity: str
    unknown_registers: int
    internal_w: float | None
    switching_w: float | None
    leakage_w: float | None
    tools: dict[str, str]

    @property
    def fmax_mhz(self) -> float:
        """The clock at which the slack is 0, if the same cells are used."""
        return 1000 / (self.clock_ns - self.slack_ns)

    @property
    def memory_bits(self) -> int:
        return sum(shape.bits for _, shape in self.memories)


def synthesise(verilog: str, folder: Path, *, top: str, clock: str = "aclk", clock_ns: float = 5.0,
               activity: Activity | None = None) -> Cells:
    """The module ``top`` of ``verilog`` in standard cells for a period of ``clock_ns`` of the port ``clock``.

    ``activity`` is that of ``top``. Intermediate files and logs are left in ``folder``. :class:`MissingTool` before
    anything is run, :class:`JobError` if a tool fails.
    """
    yosys, sta, liberty = find("yosys"), find("sta"), _library()
    library = parse(liberty)
    mapped = run(mapping_job(verilog, liberty, yosys, top=top, clock_ns=clock_ns), folder / "map")
    netlist = CellNetlist(mapped.read("netlist.v"), top)
    timing = run(timing_job(netlist, liberty, sta, clock=clock, clock_ns=clock_ns), folder / "timing")
    power, noted = {}, Annotations(lines=(), bits=0, unknown=0)
    if activity:
        noted = annotations(netlist, activity, flip_flops=_flip_flops(library))
        job = power_job(netlist, power_view(library), sta, noted, clock=clock, clock_ns=clock_ns)
        power = parse_power(run(job, folder / "power").log)
    paths = parse_paths(timing.log, netlist, _flip_flops(library))
    modules = _modules(netlist, library, paths)
    return Cells(
        area_um2=sum(each.count * each.area_um2 for each in modules), slack_ns=paths[""].slack_ns, clock_ns=clock_ns,
        path=paths[""], modules=modules, memories=tuple(netlist.memories()),
        registers=sum(each.count * each.registers for each in modules),
        activity=activity.source if activity else "", unknown_registers=noted.unknown,
        power_w=power.get("total"), internal_w=power.get("internal"), switching_w=power.get("switching"),
        leakage_w=power.get("leakage"), tools={tool.name: tool.version for tool in (yosys, sta)})


def mapping_job(verilog: str, liberty: str, yosys: Tool, *, top: str, clock_ns: float) -> Job:
    """Yosys: ``verilog`` to ``netlist.v``."""
    keep = "".join(f"setattr -mod -set keep_hierarchy 1 {module}\n" for module in kept_modules(verilog, top))
    script = _SCRIPT.format(top=top, keep=keep, memory=MEMORY, picoseconds=round(1000 * (clock_ns - REGISTER_NS)))
    ports = f"set_driving_cell {DRIVER}\nset_load {1000 * LOAD_PF}\n"
    return Job(name=f"{top} in cells", tools=(yosys,), outputs=("netlist.v",), commands=(("yosys", "map.ys"),),
               inputs={"design.v": verilog, "memory.v": _MEMORY, "cells.lib": liberty, "ports.txt": ports, "map.ys": script})


def timing_job(netlist: CellNetlist, liberty: str, sta: Tool, *, clock: str, clock_ns: float) -> Job:
    """OpenSTA: the worst path of the whole, and that into each module."""
    places = " ".join(f"{{{path}/*}}" for path in _examples(netlist).values() if path)
    script = _TIMING.format(clock=clock, driver=DRIVER, pin=DRIVER_PIN, load=LOAD_PF, places=places)
    return _sta_job("timing", netlist, sta, {"cells.lib": liberty}, script, clock, clock_ns)


def power_job(netlist: CellNetlist, view: str, sta: Tool, noted: Annotations, *, clock: str, clock_ns: float) -> Job:
    """OpenSTA: the power of the whole; ``view`` is that of :func:`power_view`."""
    inputs = {"cells.lib": view, "activity.tcl": "\n".join([*noted.lines, ""])}
    return _sta_job("power", netlist, sta, inputs, _POWER.format(), clock, clock_ns)


def kept_modules(verilog: str, top: str) -> list[str]:
    """The modules of ``verilog`` that are mapped by themselves: what the top consists of, and what something in it has at
    least :data:`REPEATED` times. Everything else becomes part of what it is in."""
    bodies = {module[1]: module[0] for module in re.finditer(r"^module (\w+)\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)}
    if top not in bodies:
        raise ValueError(f"top must be one of the modules {', '.join(bodies)}, not {top!r}")
    kept: set[str] = set()

    def walk(module: str) -> None:
        inner = [kind for kind in re.findall(r"^  (\w+) \S+ \($", bodies[module], re.MULTILINE) if kind in bodies]
        for kind in set(inner):
            repeated = inner.count(kind) >= REPEATED
            if module == top or repeated:
                kept.add(kind)
            if not repeated:
                walk(kind)

    walk(top)
    return sorted(kept)


def parse_paths(log: str, netlist: CellNetlist, flip_flops: dict[str, str]) -> dict[str, CellPath]:
    """The paths that OpenSTA reported, by the module in which they end; "" is the worst of all."""
    modules = {f"{path}/*": module for module, path in _examples(netlist).items()}
    reports = re.split(r"^place (.*)$", log, flags=re.MULTILINE)
    texts = {"": reports[0]} | {modules[place]: text for place, text in zip(reports[1::2], reports[2::2])}
    paths = {module: _path(text, netlist, flip_flops) for module, text in texts.items() if "Startpoint:" in text}
    if "" not in paths:
        raise JobError(f"OpenSTA found no path:\n{log[-2000:]}")
    return paths


def parse_power(log: str) -> dict[str, float]:
    """``internal``, ``switching``, ``leakage`` and ``total`` in W."""
    total = re.search(r"^Total +(\S+) +(\S+) +(\S+) +(\S+)", log, re.MULTILINE)
    if not total:
        raise JobError(f"OpenSTA reported no power:\n{log[-2000:]}")
    return dict(zip(("internal", "switching", "leakage", "total"), map(float, total.groups())))


def _path(text: str, netlist: CellNetlist, flip_flops: dict[str, str]) -> CellPath:
    def named(point: str) -> str:
        place = re.search(rf"^{point}: (\S+) \(", text, re.MULTILINE)[1].replace("\\", "")
        return netlist.register(place, flip_flops)

    rows = re.findall(r"^ +(-?[\d.]+) +-?[\d.]+ [v^] \S+/\w\S* \((\w+)\)$", text.partition("data arrival time")[0], re.MULTILINE)
    slack = re.search(r"^ +(-?[\d.]+) +slack", text, re.MULTILINE)
    return CellPath(start=named("Startpoint"), end=named("Endpoint"), slack_ns=float(slack[1]),
                    cells=tuple((cell, float(delay)) for delay, cell in rows if float(delay)))


def _modules(netlist: CellNetlist, library: Group, paths: dict[str, CellPath]) -> tuple[ModuleCells, ...]:
    areas = {cell.name: cell.number("area") for cell in library.of("cell")}
    flip_flops = _flip_flops(library)
    rows = []
    for module, count in netlist.modules.items():
        cells = netlist.cells(module)
        rows.append(ModuleCells(module=module, count=count, cells=cells.total(), path=paths.get(module),
                                area_um2=sum(areas[cell] * number for cell, number in cells.items()),
                                registers=sum(cells[cell] for cell in flip_flops)))
    return tuple(sorted(rows, key=lambda row: -row.count * row.area_um2))


def _examples(netlist: CellNetlist) -> dict[str, str]:
    """The path of one instance of each module, of many the one in the middle."""
    paths: dict[str, list[str]] = {}
    for path, module in netlist.places():
        paths.setdefault(module, []).append(path)
    return {module: found[len(found) // 2] for module, found in paths.items()}


def _flip_flops(library: Group) -> dict[str, str]:
    """The library's flip-flops and the pin that is their output."""
    return {cell.name: next(pin.name for pin in cell.of("pin") if pin.attributes["direction"] == "output")
            for cell in library.of("cell") if cell.of("ff")}


def _sta_job(what: str, netlist: CellNetlist, sta: Tool, inputs: dict[str, str], script: str, clock: str, clock_ns: float) -> Job:
    shapes = [shape for _, shape in netlist.memories()]
    link = _LINK.format(library="cells.lib", top=netlist.top, period=clock_ns, clock=clock)
    return Job(name=f"{what} of {netlist.top}", tools=(sta,), outputs=(), commands=(("sta", "-no_splash", "-exit", "run.tcl"),),
               inputs=inputs | {"netlist.v": netlist.with_memories_as_cells(), "memories.lib": memory_cells(shapes),
                                "run.tcl": link + script})


def _library() -> str:
    """osu018 as Liberty, with the areas of its LEF."""
    if not (LIBRARY / LIBERTY).exists():
        raise MissingTool("osu018", "Debian's package qflow-tech-osu018 has it")
    return with_areas_of_lef((LIBRARY / LIBERTY).read_text(), (LIBRARY / LEF).read_text())
