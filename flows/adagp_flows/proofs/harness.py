"""The core, what the other side of its buses promises, and the rules as signals."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Elaboratable, Fragment, Instance, Module, ResetSignal, Signal
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.interfaces import AxiLiteSignature, AxiReadSignature, AxiWriteSignature

TOP = "proof"


@dataclass(frozen=True)
class Rule:
    """What must hold in every cycle. Its signal in traces is ``violates_<name>``; a lemma, which says about the inside of the
    core what rules follow from, has no ``text``."""

    name: str
    text: str


class Harness(Elaboratable):
    """A module that holds the core with all inputs free, and rules about its ports from ``parts``.

    A part is a function of harness and module that calls :meth:`rule`, :meth:`lemma` and, for what only the other side of a
    bus can promise, :meth:`assume`. A rule must hold up to and with the last cycle in which all assumptions have. Everything
    is reset with the core, by ``aresetn`` at any time: so rules hold from power-up and after each reset.
    """

    def __init__(self, config: AcceleratorConfig, parts: tuple[Callable, ...]):
        self.config = config
        self.rules: dict[Rule, Signal] = {}
        self.probes: dict[str, Signal] = {}
        #: Registers that several parts look at, by a name; the first that needs them makes them.
        self.ghosts: dict[str, list[Signal]] = {}
        self._parts, self._assumed, self._choices = parts, [], []
        members = {"aclk": In(1), "aresetn": In(1), "irq": Out(1)}
        for prefix, signature in (("s_axil", AxiLiteSignature()), ("m_axi", AxiReadSignature(config.bus_bits, id_bits=1)),
                                  ("m_axi", AxiWriteSignature(config.bus_bits, id_bits=1))):
            members |= {f"{prefix}_{name}": member for name, member in signature.members.items()}
        self.core = {name: Signal(member.shape, name=name) for name, member in members.items()}
        self._inputs = {name for name, member in members.items() if member.flow is In}
        #: High in the first cycle after a reset or power-up.
        self.fresh = Signal(init=1)

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal("sync").eq(self.core["aclk"]), ResetSignal("sync").eq(~self.core["aresetn"])]
        m.d.sync += self.fresh.eq(0)
        m.submodules.core = Instance("adagp", **{
            f"{'i' if name in self._inputs else 'o'}_{name}": signal for name, signal in self.core.items()})
        for part in self._parts:
            part(self, m)
        assumed, kept = Signal(), Signal(init=1)
        m.d.comb += assumed.eq(kept & Cat(self._assumed).all())
        m.d.sync += kept.eq(assumed)
        self.violations = [Signal(name=f"violates_{rule.name}") for rule in self.rules]
        m.d.comb += [bit.eq(assumed & ~holds) for bit, holds in zip(self.violations, self.rules.values(), strict=True)]
        return m

    def rtlil(self) -> str:
        """The module :data:`TOP`. Outputs: the core's, and a violation per rule. Probes are inputs, to be connected."""
        fragment = Fragment.get(self, None)
        ports = [*self.core.values(), *self._choices, *self.probes.values(), *self.violations]
        return rtlil.convert(fragment, name=TOP, ports=ports, emit_src=False)

    def free(self, name: str) -> Signal:
        """A bit that may have any value in any cycle."""
        self._choices.append(Signal(name=name))
        return self._choices[-1]

    def probe(self, path: str, bits: int) -> Signal:
        """What is in a signal of the core, by its path in the Verilog."""
        if path not in self.probes:
            self.probes[path] = Signal(bits, name=f"probe_{len(self.probes)}")
        return self.probes[path]

    def rule(self, name: str, text: str, holds) -> None:
        """``holds`` (one bit) is to be proved."""
        self.rules[Rule(name, text)] = holds

    def lemma(self, name: str, holds) -> None:
        """``holds`` (one bit) is to be proved with the rules that follow from it."""
        self.rule(f"lemma_{name}", "", holds)

    def assume(self, holds) -> None:
        """``holds`` (one bit) is what the other side of a bus promises."""
        self._assumed.append(holds)
