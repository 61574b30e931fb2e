"""Synthesis module by module: what did not change is not synthesised again, and the cores share the rest.

The Verilog of :mod:`adagp_hdl.verilog` holds each module once, however many instances it has, so the sum over modules
of their cells times their instances is what the design costs. Nothing is optimised across the borders of modules.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .jobs import Finished, Job, run, run_all
from .tools import find

_MODULE = re.compile(r"^module\s+(\S+?)\s*\(.*?^endmodule\b", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^[ \t]*(\w+)\s+(?:\w+|\\\S+)\s*\(\s*\.", re.MULTILINE)
_PORT = re.compile(r"^[ \t]*(?:input|output|inout)\b[^;]*;", re.MULTILINE)
_FUNCTION = re.compile(r"^[ \t]*function\b.*?^\s*endfunction\b", re.MULTILINE | re.DOTALL)
_MEMORY = re.compile(r"^[ \t]*reg\s*(?:\[[^\]]*\])?\s*\w+\s*\[[^\]]*\]\s*;", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Module:
    """The text of one module, perhaps followed by that of others that only it needs; ``children`` are the modules
    that it instantiates, with how often."""

    name: str
    text: str
    children: Mapping[str, int]

    @cached_property
    def header(self) -> str:
        """The module without its content."""
        end = self.text.index(");") + 2
        ports = "\n".join(match[0] for match in _PORT.finditer(_FUNCTION.sub("", self.text.partition("\nendmodule")[0])))
        return f"(* blackbox *)\n{self.text[:end]}\n{ports}\nendmodule\n"

    @property
    def has_memory(self) -> bool:
        return bool(_MEMORY.search(self.text))


@dataclass(frozen=True)
class Hierarchy:
    """The modules of a design by name, and its top."""

    modules: Mapping[str, Module]
    top: str

    @classmethod
    def of(cls, source: str, top: str) -> "Hierarchy":
        """Of Verilog with a module per name, ports declared in the body, instances with named connections;
        ValueError if ``top`` is not in it."""
        texts = {match[1]: match[0] for match in _MODULE.finditer(source)}
        if top not in texts:
            raise ValueError(f"top must be a module of the Verilog, not {top!r}")
        modules = {name: Module(name=name, text=text, children=Counter(
            child for child in _INSTANCE.findall(text) if child in texts)) for name, text in texts.items()}
        return cls({name: modules[name] for name in _reachable(modules, top)}, top)

    @cached_property
    def instances(self) -> dict[str, int]:
        """How many instances of each module the design has, parents before their children."""
        counts = Counter({self.top: 1})
        for name in self.modules:  # parents come first
            for child, count in self.modules[name].children.items():
                counts[child] += counts[name] * count
        return dict(counts)

    def with_children(self, own: Mapping[str, Counter]) -> dict[str, Counter]:
        """For figures per instance of each module alone: those of the instance with all below it."""
        totals: dict[str, Counter] = {}
        for name in reversed(self.modules):
            totals[name] = Counter(own[name])
            for child, count in self.modules[name].children.items():
                totals[name].update({key: value * count for key, value in totals[child].items()})
        return totals

    def source(self, name: str) -> str:
        """What is needed to synthesise the module alone: its text, and its children as black boxes."""
        module = self.modules[name]
        return "\n".join([module.text, "", *(self.modules[child].header for child in sorted(module.children))])


def _reachable(modules: Mapping[str, Module], top: str) -> list[str]:
    """In topological order, parents before children."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name not in order:
            for child in modules[name].children:
                visit(child)
            order.append(name)

    visit(top)
    return order[::-1]


def synthesise_modules(hierarchy: Hierarchy, job: Callable[[Module, str], Job], cache: Path) -> dict[str, Finished]:
    """Runs ``job(module, source)`` for each module, largest first, in a folder of ``cache`` that is named by the job's
    digest: the modules that two designs have in common are synthesised once. ``JobError``."""
    largest_first = sorted(hierarchy.modules.values(), key=lambda module: -len(module.text))
    jobs = {module.name: job(module, hierarchy.source(module.name)) for module in largest_first}
    folders = {name: cache / f"{name}-{each.digest[:12]}" for name, each in jobs.items()}
    return dict(zip(jobs, run_all([(jobs[name], folders[name]) for name in jobs])))


def flat_netlist(family: str, hierarchy: Hierarchy, finished: Mapping[str, Finished], *, library: Sequence[str], folder: Path) -> str:
    """The netlists ``netlist.v`` of all modules as one of the whole without modules, Yosys's JSON; ``library``: the
    commands that read the cells. ``JobError``."""
    script = [*library, "read_verilog modules.v", f"hierarchy -check -top {hierarchy.top}", "flatten", "opt_clean",
              "blackbox =A:whitebox", "write_json netlist.json"]
    text = "\n".join(finished[name].read("netlist.v") for name in hierarchy.modules)
    job = Job(name=f"{family} netlist of {hierarchy.top}", commands=(("yosys", "script.ys"),),
              inputs={"modules.v": text, "script.ys": "\n".join(script) + "\n"}, outputs=("netlist.json",), tools=(find("yosys"),))
    return run(job, folder).read("netlist.json")
