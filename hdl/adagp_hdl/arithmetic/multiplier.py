"""Multiplication of encoded numbers."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.formats import FLOAT32, FloatFormat

from .product import StalledProduct
from .unpacking import Unpacked


class FloatMultiplier(wiring.Component):
    """``o = a · b`` in ``fmt``, exactly the number contract of :mod:`adagp.spec.formats`.

    One product per cycle; ``o`` shows that of ``LATENCY`` cycles with ``en`` high ago. While ``en``
    is low the whole pipeline stands still. ∞ · 0 is NaN. A product that IEEE rounds up from its
    subnormal range becomes the smallest normal number, any smaller one zero of its sign.
    """

    LATENCY = 4

    def __init__(self, fmt: FloatFormat = FLOAT32):
        self._fmt = fmt
        super().__init__({"en": In(1), "a": In(fmt.bits), "b": In(fmt.bits), "o": Out(fmt.bits)})

    def elaborate(self, platform):
        m = Module()
        fmt = self._fmt
        a, b = Unpacked(fmt, self.a), Unpacked(fmt, self.b)
        m.submodules.stalled_product = product = StalledProduct(fmt.fraction_bits)
        m.d.comb += [product.en.eq(self.en), product.left.eq(a.fraction), product.right.eq(b.fraction)]
        factors = self._stage(
            m, "factors", sign=a.sign ^ b.sign, exponent=a.exponent + b.exponent, zero=a.zero | b.zero,
            special=a.special | b.special, nan=a.nan | b.nan | a.special & b.zero | a.zero & b.special)
        normal = self._normalise(m, product.product, self._stage(m, "partial", **factors))
        self._round(m, normal)
        return m

    def _stage(self, m: Module, name: str, **values) -> dict[str, Signal]:
        registers = {}
        for key, value in values.items():
            value = Value.cast(value)
            registers[key] = Signal(unsigned(len(value)), name=f"{name}_{key}", reset_less=True)
            with m.If(self.en):
                m.d.sync += registers[key].eq(value)
        return registers

    def _normalise(self, m, value, s):
        """Stage 3. In the subnormal binade just below the normal numbers rounding is always up:
        only an all-ones fraction reaches the smallest normal number, the others get flushed."""
        fmt = self._fmt
        low = fmt.fraction_bits + 1
        top = value[-1]
        exponent = Signal(fmt.exponent_bits + 2)
        fraction = Mux(top, value[low:-1], value[low - 1:-2])
        m.d.comb += exponent.eq(s["exponent"] + top - fmt.bias)
        half = Mux(top, value[low - 1], value[low - 2])
        rest = value[:low - 2].any() | top & value[low - 2]
        return self._stage(
            m, "normal", sign=s["sign"] & ~s["nan"], exponent=exponent, fraction=fraction,
            up=half & (rest | fraction[0]), zero=s["zero"], special=s["special"], nan=s["nan"])

    def _round(self, m, s):
        fmt = self._fmt
        exponent, fraction = s["exponent"], s["fraction"]
        negative, low = exponent[-1], exponent[:fmt.exponent_bits]
        over, lowest, zero = Signal(), Signal(), Signal()
        rounded = Signal(fmt.bits - 1)
        m.d.comb += [
            over.eq(s["special"] | ~s["zero"] & ~negative & (exponent[-2] | low.all())),
            lowest.eq(~exponent.any()),
            zero.eq(~s["special"] & (s["zero"] | negative | lowest & ~fraction.all())),
            rounded.eq(Cat(fraction, low) + (s["up"] | lowest)),
        ]
        top = fmt.fraction_bits - 1
        result = Signal(fmt.bits, reset_less=True)
        with m.If(self.en):
            m.d.sync += result.eq(Cat(
                rounded[:top], Mux(over | zero, s["nan"], rounded[top]),
                Mux(over, fmt.exponent_mask, Mux(zero, 0, rounded[fmt.fraction_bits:])), s["sign"]))
            with m.If(over | zero):  # by the reset of the registers
                m.d.sync += result[:top].eq(0)
        m.d.comb += self.o.eq(result)

