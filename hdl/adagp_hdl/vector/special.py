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

    LATENCY = 2

    en: In(1)
    function: In(Function)
    a: In(32)
    y: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        function, a_bits, y_bits = Signal.like(self.function), Signal(32), Signal(32)
        difference = Signal(32)  # |y| − |a| or constant − (|a| >> 1); the top bit is the borrow
        size, below, whole, nan = Signal(7), Signal(), Signal(7), Signal()
        with m.If(self.en):
            m.d.sync += [function.eq(self.function), a_bits.eq(self.a), y_bits.eq(self.y), difference.eq(
                self.y[:31] - Mux(self.function == Function.RSQRT, self.a[1:31], self.a[:31]))]
        self._examine(m, size, below, whole, nan)
        a, y = Unpacked(FLOAT32, a_bits), Unpacked(FLOAT32, y_bits)
        # The result is made of these, of which the chosen ones are not zero.
        sign, one, infinite = Signal(), Signal(), Signal()
        a_exponent, a_fraction, whole_y, whole_difference = Signal(), Signal(), Signal(), Signal()
        upper = Signal(UPPER_FRACTION + 8)
        with m.If(~nan):
            with m.Switch(function):
                with m.Case(Function.ARITHMETIC):
                    m.d.comb += [sign.eq(a.sign), a_exponent.eq(1), a_fraction.eq(1)]
                with m.Case(Function.MAXIMUM, Function.MINIMUM):
                    # A subnormal compares with normal numbers as zero would, with zeros only the sign counts.
                    greater = Mux(a.sign ^ y.sign, y.sign, difference[31] ^ a.sign)
                    takes_a = greater ^ (function == Function.MINIMUM)
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
                        upper[UPPER_FRACTION:].eq(Mux(large, 0, Mux(a.sign, ~whole, whole + FLOAT32.bias)))]
                with m.Case(Function.EXPONENT):
                    m.d.comb += [
                        sign.eq(below), infinite.eq(a.zero | a.special),
                        upper.eq(Mux(a.zero, 0, self._normalised(m, size)))]
                with m.Case(Function.SIGNIFICAND):
                    m.d.comb += [one.eq(1), a_fraction.eq(~a.zero)]
        with m.If(self.en):
            m.d.sync += self.o.eq(Cat(
                Cat(a.fraction & a_fraction.replicate(23), a.exponent & a_exponent.replicate(8))
                | y_bits[:31] & whole_y.replicate(31)
                | difference[:31] & whole_difference.replicate(31)
                | Cat(Const(0, 23 - UPPER_FRACTION), upper)
                | Cat(Const(0, 22), nan, (infinite | nan).replicate(8))
                | Cat(Const(0, 23), one.replicate(7)),
                sign))
        return m

    def _examine(self, m: Module, size: Signal, below: Signal, whole: Signal, nan: Signal):
        """Registers of ``a``, for a normal number (0 for infinities and NaNs) the size of its unbiased exponent, and whether
        that is negative; its whole part, if the exponent is below 7; and whether the result is a NaN."""
        a, y = Unpacked(FLOAT32, self.a), Unpacked(FLOAT32, self.y)
        low, high = a.exponent[:7], a.exponent[7]
        exponent, negative = Signal(7), Signal()
        two = (self.function == Function.MAXIMUM) | (self.function == Function.MINIMUM)
        single = self.function >= Function.RECIPROCAL
        m.d.comb += [exponent.eq(Mux(high, low + 1, ~low)), negative.eq(~high & ~low.all())]
        with m.If(self.en):
            m.d.sync += [
                size.eq(exponent), below.eq(negative),
                whole.eq(Mux(negative, 0, Cat(a.fraction[16:], 1) >> ~exponent[:3])),
                nan.eq(a.nan & (two | single) | y.nan & two | (self.function == Function.RSQRT) & a.sign & ~a.zero)]

    def _normalised(self, m: Module, size: Signal):
        """The exponent and upper fraction bits of the number ``size``."""
        upper = Signal(UPPER_FRACTION + 8)
        for place in range(7):
            with m.If(size[place]):
                m.d.comb += upper.eq(Cat(Const(0, UPPER_FRACTION - place), size[:place],
                                         Const(FLOAT32.bias + place, 8)))
        return upper
