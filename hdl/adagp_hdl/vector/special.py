"""The functions of the vector unit that are neither products nor sums."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.formats import FLOAT32
from adagp.spec.isa import Function

from ..arithmetic.unpacking import Unpacked

ESTIMATE_CONSTANTS = {Function.RECIPROCAL: 0x7EF311C7, Function.RSQRT: 0x5F3759DF}
"""What ``y`` must be for these functions."""

UPPER_FRACTION = 6
"""Fraction bits that the exponent of a number has when it is a number itself."""


class SpecialFunctions(wiring.Component):
    """``o = function(a, y)`` as :class:`adagp.spec.isa.Vector` says, with ARITHMETIC meaning a bit
    copy of ``a``, and ``y`` one of :data:`ESTIMATE_CONSTANTS` for the functions there. One per
    cycle; ``o`` shows that of ``LATENCY`` cycles with ``en`` high ago."""

    LATENCY = 1

    en: In(1)
    function: In(Function)
    a: In(32)
    y: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        a, y = Unpacked(FLOAT32, self.a), Unpacked(FLOAT32, self.y)
        difference = Signal(32)  # |y| − |a| or constant − (|a| >> 1); the top bit is the borrow
        m.d.comb += difference.eq(self.y[:31] - Mux(self.function == Function.RSQRT, self.a[1:31], self.a[:31]))
        size, below = self._exponent_size(m, a)
        # The result is made of these, of which the chosen ones are not zero.
        sign, one, infinite = Signal(), Signal(), Signal()
        a_exponent, a_fraction, whole_y, whole_difference = Signal(), Signal(), Signal(), Signal()
        upper = Signal(UPPER_FRACTION + 8)

        two = (self.function == Function.MAXIMUM) | (self.function == Function.MINIMUM)
        single = self.function >= Function.RECIPROCAL
        nan = Signal()
        m.d.comb += nan.eq(a.nan & (two | single) | y.nan & two
                           | (self.function == Function.RSQRT) & a.sign & ~a.zero)
        with m.If(~nan):
            with m.Switch(self.function):
                with m.Case(Function.ARITHMETIC):
                    m.d.comb += [sign.eq(a.sign), a_exponent.eq(1), a_fraction.eq(1)]
                with m.Case(Function.MAXIMUM, Function.MINIMUM):
                    # A subnormal compares with normal numbers as zero would, with zeros only the sign counts.
                    greater = Mux(a.sign ^ y.sign, y.sign, difference[31] ^ a.sign)
                    takes_a = greater ^ (self.function == Function.MINIMUM)
                    m.d.comb += [
                        sign.eq(Mux(takes_a, a.sign, y.sign)), a_exponent.eq(takes_a),
                        a_fraction.eq(takes_a & ~a.zero), whole_y.eq(~takes_a & ~y.zero)]
                with m.Case(Function.GATE):
                    positive = ~(a.sign | a.zero | a.nan)
                    m.d.comb += [sign.eq(y.sign & positive), whole_y.eq(positive)]
                with m.Case(Function.EQUAL):
                    same = ~difference.any() & (a.sign == y.sign) | a.zero & y.zero
                    m.d.comb += one.eq(same & ~a.nan)
                with m.Case(Function.RECIPROCAL):
                    tiny = difference[31] | ~difference[23:31].any()
                    m.d.comb += [sign.eq(a.sign), infinite.eq(a.zero), whole_difference.eq(~a.zero & ~tiny)]
                with m.Case(Function.RSQRT):
                    m.d.comb += [infinite.eq(a.zero), whole_difference.eq(~a.zero & ~a.special)]
                with m.Case(Function.EXP2):
                    large = ~below & (size >= 7) | a.special
                    m.d.comb += [
                        infinite.eq(large & ~a.sign),
                        upper[UPPER_FRACTION:].eq(Mux(large, 0, self._power(m, a, size, below)))]
                with m.Case(Function.EXPONENT):
                    m.d.comb += [
                        sign.eq(below), infinite.eq(a.zero | a.special),
                        upper.eq(Mux(a.zero, 0, self._normalised(m, size)))]
                with m.Case(Function.SIGNIFICAND):
                    m.d.comb += [one.eq(1), a_fraction.eq(~a.zero)]
        with m.If(self.en):
            m.d.sync += self.o.eq(Cat(
                Cat(a.fraction & a_fraction.replicate(23), a.exponent & a_exponent.replicate(8))
                | self.y[:31] & whole_y.replicate(31)
                | difference[:31] & whole_difference.replicate(31)
                | Cat(Const(0, 23 - UPPER_FRACTION), upper)
                | Cat(Const(0, 22), nan, (infinite | nan).replicate(8))
                | Cat(Const(0, 23), one.replicate(7)),
                sign))
        return m

    def _exponent_size(self, m: Module, a: Unpacked) -> tuple[Signal, Signal]:
        """The size of the unbiased exponent of a normal number (0 for infinities and NaNs), and
        whether it is negative."""
        size, below = Signal(7), Signal()
        low, high = a.exponent[:7], a.exponent[7]
        m.d.comb += [size.eq(Mux(high, low + 1, ~low)), below.eq(~high & ~low.all())]
        return size, below

    def _power(self, m: Module, a: Unpacked, size: Signal, below: Signal):
        """The exponent bits of 2 to the power of the truncated ``a``, whose exponent is below 7."""
        whole = Signal(7)
        m.d.comb += whole.eq(Mux(below, 0, Cat(a.fraction[16:], 1) >> ~size[:3]))
        return Mux(a.sign, ~whole, whole + FLOAT32.bias)

    def _normalised(self, m: Module, size: Signal):
        """The exponent and upper fraction bits of the number ``size``."""
        upper = Signal(UPPER_FRACTION + 8)
        for place in range(7):
            with m.If(size[place]):
                m.d.comb += upper.eq(Cat(Const(0, UPPER_FRACTION - place), size[:place],
                                         Const(FLOAT32.bias + place, 8)))
        return upper
