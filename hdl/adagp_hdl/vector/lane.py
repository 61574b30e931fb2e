"""One lane of the vector unit."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import Addend, Function, Multiplier

from ..arithmetic.adder import FloatAdder
from ..arithmetic.multiplier import FloatMultiplier
from ..once import emitted_once
from .special import ESTIMATE_CONSTANTS, SpecialFunctions

ONE = 0x3F800000
NEGATIVE_ZERO = 0x80000000

#: What a lane does with a word. ``factor`` and ``term`` are what all lanes have in place of their own b; with
#: ``factor_shared``, ``term_shared`` a lane of b is to take the place of these before.
LaneControl = data.StructLayout({
    "function": Function, "special": 1, "relu": 1, "factor_shared": 1, "term_shared": 1,
    "negate_a": 1, "negate_term": 1, "factor_b": 1, "term_b": 1, "factor": 32, "term": 32})


def decode_control(instruction) -> dict:
    """The fields of a :data:`LaneControl` for a view of a ``Vector`` instruction.

    Everything is a·factor + term unless it is special: a missing factor is 1, a missing term −0.
    The term is also the y of the special functions. What REPORT reports is a bit copy of a.
    """
    arithmetic = instruction.function == Function.ARITHMETIC
    no_factor = instruction.multiplier == Multiplier.NONE
    no_term = instruction.addend == Addend.NONE
    term = Mux(arithmetic & no_term, NEGATIVE_ZERO, instruction.t)
    estimate = 0
    for function, constant in ESTIMATE_CONSTANTS.items():
        selected = instruction.function == function
        term, estimate = Mux(selected, constant, term), estimate | selected
    factor_b, term_b = instruction.multiplier == Multiplier.B, (instruction.addend == Addend.B) & ~estimate
    return {
        "function": Mux(instruction.function == Function.REPORT, Function.ARITHMETIC, instruction.function),
        "special": ~arithmetic | no_factor & no_term & ~instruction.relu,
        "relu": instruction.relu,
        "factor_shared": factor_b & instruction.broadcast,
        "term_shared": term_b & instruction.broadcast,
        "negate_a": arithmetic & instruction.negate_product,
        "negate_term": arithmetic & instruction.negate_addend & ~no_term,
        "factor_b": factor_b & ~instruction.broadcast,
        "term_b": term_b & ~instruction.broadcast,
        "factor": Mux(no_factor, ONE, instruction.s),
        "term": term,
    }


@emitted_once
class VectorLane(wiring.Component):
    """``o = f(a, b)`` for one function of :class:`adagp.spec.isa.Vector` per cycle.

    ``o`` shows the result of ``LATENCY`` cycles with ``en`` high ago; ``special`` and ``relu`` are those bits
    of its control, to be delayed outside, once for all lanes.
    """

    LATENCY = FloatMultiplier.LATENCY + FloatAdder.LATENCY

    en: In(1)
    a: In(32)
    b: In(32)
    control: In(LaneControl)
    special: In(1)
    relu: In(1)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = FloatMultiplier()
        m.submodules.adder = adder = FloatAdder()
        m.submodules.functions = functions = SpecialFunctions()
        control = self.control
        a, term = Signal(32), Signal(32)
        m.d.comb += [
            a.eq(self.a ^ Cat(*[0] * 31, control.negate_a)),
            term.eq(Mux(control.term_b, self.b, control.term) ^ Cat(*[0] * 31, control.negate_term)),
            multiplier.en.eq(self.en), adder.en.eq(self.en), functions.en.eq(self.en),
            multiplier.a.eq(a), multiplier.b.eq(Mux(control.factor_b, self.b, control.factor)),
        ]
        first_a = delay(m, a, 1, self.en)
        first_term = delay(m, term, 1, self.en)
        m.d.comb += [
            functions.function.eq(delay(m, control.function, 1, self.en)),
            functions.a.eq(first_a), functions.y.eq(first_term),
            adder.a.eq(multiplier.o), adder.b.eq(delay(m, first_term, multiplier.LATENCY - 1, self.en)),
        ]
        function = delay(m, functions.o, self.LATENCY - 1 - functions.LATENCY, self.en)
        below = self.relu & adder.o[31]
        m.d.comb += self.o.eq(Mux(self.special, function, Mux(below, 0, adder.o)))
        return m


def delay(m: Module, value, cycles: int, enable=1):
    """``value`` of ``cycles`` cycles with ``enable`` high ago."""
    for _ in range(cycles):
        register = Signal(unsigned(len(value)), reset_less=True, name="delayed")
        with m.If(enable):
            m.d.sync += register.eq(value)
        value = register
    return value
