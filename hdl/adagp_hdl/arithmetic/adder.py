"""Addition of encoded numbers."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.formats import FLOAT32, FloatFormat

from .addition import SumPipeline
from .unpacking import Unpacked


class FloatAdder(wiring.Component):
    """``o = a + b`` in ``fmt``, exactly the number contract of :mod:`adagp.spec.formats`.

    One sum per cycle; ``o`` shows that of ``LATENCY`` cycles with ``en`` high ago. While ``en`` is
    low the whole pipeline stands still. x + −x is +0, −0 + −0 is −0, ∞ − ∞ is NaN.
    """

    LATENCY = SumPipeline.LATENCY

    def __init__(self, fmt: FloatFormat = FLOAT32):
        self._fmt = fmt
        self._sum = SumPipeline(fmt)
        super().__init__({"en": In(1), "a": In(fmt.bits), "b": In(fmt.bits), "o": Out(fmt.bits)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.sum = pipeline = self._sum
        a, b = Unpacked(self._fmt, self.a), Unpacked(self._fmt, self.b)
        for unpacked, term in ((a, pipeline.a), (b, pipeline.b)):
            m.d.comb += [
                term.sign.eq(unpacked.sign), term.zero.eq(unpacked.zero), term.special.eq(unpacked.special),
                term.exponent.eq(unpacked.exponent), term.significand.eq(Cat(unpacked.fraction, 1))]
        m.d.comb += [
            pipeline.en.eq(self.en),
            pipeline.nan.eq(a.nan | b.nan | a.special & b.special & (a.sign ^ b.sign)),
            self.o.eq(pipeline.o),
        ]
        return m
