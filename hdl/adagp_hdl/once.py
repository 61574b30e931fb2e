"""Components that a design holds many times are elaborated for Verilog once."""

import re

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Value
from amaranth.lib.wiring import Component, In


def emitted_once(kind: type[Component]) -> type[Component]:
    """Class decorator of a component without parameters: with a :class:`Catalogue` as its platform
    it becomes an instance of one module, with any other it is an ordinary component."""
    elaborate = kind.elaborate
    kind.elaborate = lambda self, platform: (
        platform.instance(self) if isinstance(platform, Catalogue) else elaborate(self, platform))
    return kind


class Catalogue:
    """An Amaranth platform that collects the modules of :func:`emitted_once` components.

    ``name`` is that of the design; the modules are called ``<name>.<kind>``. :attr:`text` is their RTLIL.
    """

    def __init__(self, name: str):
        self._name = name
        self._modules: dict[type[Component], str] = {}

    @property
    def text(self) -> str:
        return "\n".join(self._modules.values())

    def instance(self, component: Component) -> Instance:
        kind = type(component)
        name = f"{self._name}.{re.sub(r'(?<=[a-z])(?=[A-Z])', '_', kind.__name__).lower()}"
        if kind not in self._modules:
            self._modules[kind] = rtlil.convert(component, name=name, emit_src=False)
        ports = {f"{'i' if member.flow is In else 'o'}_{'__'.join(map(str, path))}": Value.cast(port)
                 for path, member, port in component.signature.flatten(component)}
        domain = {f"i_{name}": signal for name, signal in (("clk", ClockSignal()), ("rst", ResetSignal()))
                  if re.search(rf"^  wire width 1 input \d+  ?\\{name}$", self._modules[kind], re.MULTILINE)}
        return Instance(name, **ports, **domain)
