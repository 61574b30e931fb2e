"""A netlist of standard cells as Yosys writes it: modules, their instances, registers and memories by name."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MEMORY = "memory_box"
"""The module of every memory; parameters say which."""

_MODULE = re.compile(r"^module (\\\S+ |\w+) *\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(r"^  (\w+|\\\S+ ) *(?:#\(\n(.*?)\n  \) )?(\w+|\\\S+ ) *\(\n(.*?)\n  \);$", re.MULTILINE | re.DOTALL)
_PIN = re.compile(r"\.(\w+)\((.*?) ?\)(?:,\n|$)", re.DOTALL)
_NET = re.compile(r"\\\S+(?= )|[\w']+")
_PARAMETER = re.compile(r"\.(\w+)\((?:\d+'h([0-9a-fx]+)|\"(.*?)\")\)")


@dataclass(frozen=True)
class Instance:
    """An instance; ``body`` and ``settings`` are the Verilog of its pins and parameters."""

    kind: str
    name: str
    body: str
    settings: str

    def nets(self, pin: str) -> list[str]:
        """What is connected to ``pin``, from its lowest bit up: names of nets, or constants."""
        for name, value in _PIN.findall(self.body):
            if name == pin:
                return [net.lstrip("\\") for net in reversed(_NET.findall(value + " "))]
        return []

    def parameter(self, name: str) -> int:
        number, = (digits for key, digits, _ in _PARAMETER.findall(self.settings) if key == name)
        return int(number, 16)


@dataclass(frozen=True, order=True)
class Shape:
    """A memory of one read and one write port; ``synchronous``: data come with a clock, not with the address."""

    words: int
    width: int
    address_bits: int
    synchronous: bool

    @property
    def name(self) -> str:
        return f"memory_{self.words}x{self.width}" + ("" if self.synchronous else "_asynchronous")

    @property
    def bits(self) -> int:
        return self.words * self.width


class CellNetlist:
    """The netlist ``verilog``, of which ``top`` is the whole. Names are without Verilog's escapes; a path is that of an
    instance from the top module on, joined by ``/``."""

    def __init__(self, verilog: str, top: str):
        self.verilog, self.top = verilog, top
        self._modules = {_plain(module[1]): [Instance(_plain(kind), _plain(name), body, settings)
                                             for kind, settings, name, body in _INSTANCE.findall(module[0])]
                         for module in _MODULE.finditer(verilog)}
        if top not in self._modules:
            raise ValueError(f"the netlist has no module {top!r}, only {', '.join(sorted(self._modules))}")

    @cached_property
    def inputs(self) -> list[str]:
        """The input bits of the whole."""
        text = next(module[0] for module in _MODULE.finditer(self.verilog) if _plain(module[1]) == self.top)
        return [_plain(name) for name in re.findall(r"^  input (\\\S+ |\w+);$", text, re.MULTILINE)]

    def places(self, path: str = "", module: str | None = None) -> Iterator[tuple[str, str]]:
        """Path and module of the top ("") and of all that is below and not a cell."""
        module = module or self.top
        yield path, module
        for instance in self._modules[module]:
            if instance.kind in self._modules:
                yield from self.places(_joined(path, instance.name), instance.kind)

    def cells(self, module: str) -> Counter[str]:
        """How many cells of each kind ``module`` has itself, without those of modules in it."""
        return Counter(each.kind for each in self._modules[module] if each.kind not in self._modules and each.kind != MEMORY)

    def instances(self, module: str, kinds: set[str]) -> list[Instance]:
        return [each for each in self._modules[module] if each.kind in kinds]

    def memories(self, module: str) -> list[Shape]:
        """The memories in ``module`` itself."""
        return [shape(each) for each in self.instances(module, {MEMORY})]

    def shapes(self) -> set[Shape]:
        """Those of all memories."""
        return {each for module in self._modules for each in self.memories(module)}

    def with_memories_as_cells(self) -> str:
        """The netlist in which every memory is a cell, named by its shape."""
        def rename(match: re.Match) -> str:
            if match[1] != MEMORY:
                return match[0]
            instance = Instance(MEMORY, _plain(match[3]), match[4], match[2])
            return f"  {shape(instance).name} {match[3]} (\n{match[4]}\n  );"
        return _INSTANCE.sub(rename, self.verilog)

    def register(self, path: str, flip_flops: dict[str, str]) -> str:
        """What is at ``path``: of a flip-flop (a kind in ``flip_flops``, which has its output pin) the place and the net that
        it drives, which has the name of the register bit; else ``path`` itself, a memory or a port."""
        place, _, name = path.rpartition("/")
        module = dict(self.places()).get(place)
        for cell in self._modules.get(module, []):
            if cell.name == name and cell.kind in flip_flops:
                return _joined(place, cell.nets(flip_flops[cell.kind])[0])
        return path


def shape(memory: Instance) -> Shape:
    for ports in ("RD_PORTS", "WR_PORTS"):
        if memory.parameter(ports) != 1:
            raise ValueError(f"{memory.name}: {ports} must be 1, not {memory.parameter(ports)}")
    return Shape(words=memory.parameter("SIZE"), width=memory.parameter("WIDTH"), address_bits=memory.parameter("ABITS"),
                 synchronous=bool(memory.parameter("RD_CLK_ENABLE")))


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _plain(name: str) -> str:
    return name.strip().lstrip("\\")
