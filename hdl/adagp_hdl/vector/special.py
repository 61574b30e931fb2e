"""The functions of the vector unit that are neither products nor sums."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.formats import FLOAT32
from adagp.spec.isa import Function

from ..arithmetic.unpacking import Unpacked

ONE = FLOAT32.bias << FLOAT32.fraction_bits
RECIPROCAL_MAGIC = 0x7EF311C7
RSQRT_MAGIC = 0x5F3759DF


class SpecialFunctions(wiring.Component):
    """``o = function(a, y)`` as :class:`adagp.spec.isa.Vector` says, with ARITHMETIC meaning a bit
    copy of ``a``. One per cycle; ``o`` shows that of ``LATENCY`` cycles with ``en`` high ago."""

    LATENCY = 1

    en: In(1)
    function: In(Function)
    a: In(32)
    y: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        a, y = Unpacked(FLOAT32, self.a), Unpacked(FLOAT32, self.y)
        difference = self._difference(m)
        result = Signal(32)
        with m.Switch(self.function):
            with m.Case(Function.ARITHMETIC):
                m.d.comb += result.eq(self.a)
            with m.Case(Function.MAXIMUM, Function.MINIMUM):
                m.d.comb += result.eq(self._extreme(m, a, y, difference))
            with m.Case(Function.GATE):
                m.d.comb += result.eq(Mux(a.sign | a.zero | a.nan, 0, self.y))
            with m.Case(Function.EQUAL):
                same = ~difference.any() & (a.sign == y.sign) | a.zero & y.zero
                m.d.comb += result.eq(Mux(same & ~a.nan, ONE, 0))
            with m.Case(Function.RECIPROCAL):
                tiny = difference[32] | ~difference[23:32].any() | a.special
                m.d.comb += result.eq(_number(a.sign, a.zero, a.nan, Mux(tiny, 0, difference[:31])))
            with m.Case(Function.RSQRT):
                m.d.comb += result.eq(_number(
                    0, a.zero, a.nan | a.sign & ~a.zero, Mux(a.special, 0, difference[:31])))
            with m.Case(Function.EXP2):
                m.d.comb += result.eq(self._exp2(m, a))
            with m.Case(Function.EXPONENT):
                m.d.comb += result.eq(self._exponent(m, a))
            with m.Case(Function.SIGNIFICAND):
                m.d.comb += result.eq(_number(
                    0, 0, a.nan, Cat(Mux(a.zero, 0, a.fraction), Const(FLOAT32.bias, 8))))
        with m.If(self.en):
            m.d.sync += self.o.eq(result)
        return m

    def _difference(self, m: Module) -> Signal:
        """|y| − |a| or what the estimates subtract from their constant; bit 32 is the borrow."""
        minuend = Signal(32)
        subtrahend = Signal(32)
        difference = Signal(33)
        m.d.comb += [minuend.eq(self.y[:31]), subtrahend.eq(self.a[:31])]
        with m.Switch(self.function):
            with m.Case(Function.RECIPROCAL):
                m.d.comb += minuend.eq(RECIPROCAL_MAGIC)
            with m.Case(Function.RSQRT):
                m.d.comb += [minuend.eq(RSQRT_MAGIC), subtrahend.eq(self.a[1:31])]
        m.d.comb += difference.eq(minuend - subtrahend)
        return difference

    def _extreme(self, m: Module, a: Unpacked, y: Unpacked, difference: Signal):
        """A subnormal compares with normal numbers like a zero, and two of them by their signs."""
        greater = Signal()
        m.d.comb += greater.eq(Mux(a.sign ^ y.sign, y.sign, difference[32] ^ a.sign))
        takes_a = greater ^ (self.function == Function.MINIMUM)
        sign = Mux(takes_a, a.sign, y.sign)
        zero = Mux(takes_a, a.zero, y.zero)
        magnitude = Mux(takes_a, self.a[:31], self.y[:31])
        return _number(sign, 0, a.nan | y.nan, Mux(zero, 0, magnitude))

    def _exp2(self, m: Module, a: Unpacked):
        """The truncated |a| is below 128 where it counts, and 1 to 7 bits of the significand are it."""
        whole = Signal(7)
        exponent = Signal(8)
        large = Signal()
        m.d.comb += [
            large.eq(a.exponent >= FLOAT32.bias + 7),
            whole.eq(Mux(a.exponent < FLOAT32.bias, 0, Cat(a.fraction[16:], 1) >> ~(a.exponent + 1)[:3])),
            exponent.eq(Mux(large, Mux(a.sign, 0, FLOAT32.exponent_mask), FLOAT32.bias + Mux(a.sign, -whole, whole))),
        ]
        return _number(0, 0, a.nan, Cat(Const(0, 23), exponent))

    def _exponent(self, m: Module, a: Unpacked):
        negative = Signal()
        size = Signal(7)
        magnitude = Signal(31)
        m.d.comb += [
            negative.eq(a.exponent < FLOAT32.bias),
            size.eq(Mux(negative, FLOAT32.bias - a.exponent, a.exponent - FLOAT32.bias)),
        ]
        for place in range(7):
            with m.If(size[place]):
                m.d.comb += magnitude.eq(Cat(Const(0, 23 - place), size[:place], Const(FLOAT32.bias + place, 8)))
        return _number(negative, a.special | a.zero, a.nan, magnitude)


def _number(sign, infinite, nan, magnitude):
    """An encoding from its sign and lower bits, unless it is ``infinite`` or, before that, ``nan``."""
    return Mux(nan, FLOAT32.nan, Cat(Mux(infinite, FLOAT32.infinity, magnitude)[:31], sign))
