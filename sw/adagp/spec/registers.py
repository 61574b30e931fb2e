"""The register map, read from ``registers.rdl``.

Registers are named by their path: ``BATCHES``, ``PROGRAM[1].ADDRESS``, ``BASE[3]``,
``PHASE_CYCLES[2].LO``. The description is compiled at the first use of :data:`REGISTERS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("registers.rdl")
"""The SystemRDL description."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """Bits ``lsb`` to ``lsb + width - 1`` of a register.

    ``software`` and ``hardware`` are the access of each side: ``r``, ``w``, ``rw`` or ``na``.
    ``singlepulse``: a written one lasts one cycle. ``woclr``: software clears by writing ones.
    ``reset`` is 0 where the description gives none.
    """

    name: str
    lsb: int
    width: int
    reset: int
    software: str
    hardware: str
    singlepulse: bool
    woclr: bool
    description: str

    @property
    def mask(self) -> int:
        """The bits of the field in its register."""
        return (1 << self.width) - 1 << self.lsb


@dataclass(frozen=True, kw_only=True)
class Register:
    """A 32-bit register at byte ``offset``; fields from bit 0 upwards."""

    path: str
    offset: int
    fields: tuple[Field, ...]
    title: str

    def field(self, name: str) -> Field:
        """The field called ``name``."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"register {self.path} has no field {name!r}, only "
                       f"{', '.join(field.name for field in self.fields)}")


class _Registers(Mapping):
    """All registers by path, in the order of their offsets; compiled when first looked at."""

    def __getitem__(self, path: str) -> Register:
        try:
            return _compiled()[path]
        except KeyError:
            raise KeyError(f"no register is called {path!r}") from None

    def __iter__(self):
        return iter(_compiled())

    def __len__(self):
        return len(_compiled())


REGISTERS: Mapping[str, Register] = _Registers()


def offset(path: str) -> int:
    """The byte offset of the register at ``path``; ``KeyError`` where there is none."""
    return REGISTERS[path].offset


def field(path: str, name: str) -> Field:
    """The field ``name`` of the register at ``path``; ``KeyError`` where there is none."""
    return REGISTERS[path].field(name)


@cache
def _compiled() -> dict[str, Register]:
    from systemrdl import RDLCompiler  # slow to import: only whoever needs the map pays
    from systemrdl.node import RegNode

    compiler = RDLCompiler()
    compiler.compile_file(str(SOURCE))
    top = compiler.elaborate().top
    nodes = [node for node in top.descendants(unroll=True) if isinstance(node, RegNode)]
    registers = (Register(path=node.get_path().removeprefix(f"{top.inst_name}."), offset=node.absolute_address,
                          fields=tuple(map(_field, node.fields())), title=node.get_property("name"))
                 for node in sorted(nodes, key=lambda node: node.absolute_address))
    return {register.path: register for register in registers}


def _field(node) -> Field:
    on_write = node.get_property("onwrite")
    return Field(name=node.inst_name, lsb=node.lsb, width=node.width, reset=node.get_property("reset") or 0,
                 software=node.get_property("sw").name, hardware=node.get_property("hw").name,
                 singlepulse=node.get_property("singlepulse"),
                 woclr=on_write is not None and on_write.name == "woclr",
                 description=node.get_property("desc") or "")
