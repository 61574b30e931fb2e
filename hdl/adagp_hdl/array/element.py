"""The processing element."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.formats import FLOAT32

from ..arithmetic.addition import SumPipeline
from ..arithmetic.product import RegisteredProduct
from ..arithmetic.unpacking import Unpacked
from ..once import emitted_once
from .operand import DecodedOperand, RowStep

ROW_LATENCY = SumPipeline.LATENCY
"""Cycles that a partial sum and a passing weight take from one row to the next."""


@emitted_once
class ProcessingElement(wiring.Component):
    """Adds the exact product of an operand and the active weight to the partial sum from above.

    Steps move right in one cycle; partial sums and weights move down in ``ROW_LATENCY`` cycles. An
    operand that arrives in cycle t is added to the partial sum that arrives in
    t + ``PRODUCT_LATENCY``. With ``load`` the shadow weight becomes the weight that arrives in the
    same cycle; with ``swap`` the operand is the first to be multiplied by what the shadow weight
    was before that.

    A product below the smallest normal float32 counts as zero, one too large as infinity. Partial
    sums are float32 as :class:`SumPipeline` leaves them: no subnormals, NaN canonical.
    """

    PRODUCT_LATENCY = RegisteredProduct.LATENCY

    step: In(RowStep)
    weight: In(DecodedOperand)
    partial_sum: In(32)
    step_right: Out(RowStep)
    weight_below: Out(DecodedOperand)
    partial_sum_below: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.registered_product = multiplier = RegisteredProduct(len(self.weight.fraction))
        x, active = self._move(m, multiplier)
        product = self._multiply(m, x, active)
        self._accumulate(m, multiplier.product, product)
        return m

    def _move(self, m, multiplier):
        """Passes everything on; returns operand and weight to multiply, whose fractions the multiplier has taken."""
        step, width = self.step, DecodedOperand.size
        fraction = step.operand.fraction
        shadow = Signal(DecodedOperand, reset_less=True)
        active = Signal(DecodedOperand, reset_less=True)
        unmultiplied = Signal(RowStep.size - len(fraction), reset_less=True)
        passing = Signal(ROW_LATENCY * width, reset_less=True)
        m.d.sync += [
            unmultiplied.eq(Value.cast(step)[len(fraction):]),
            passing.eq(Cat(self.weight, passing)),
        ]
        m.d.comb += [
            multiplier.left.eq(fraction), multiplier.right.eq(shadow.fraction), multiplier.take.eq(step.swap),
            self.step_right.eq(Cat(multiplier.left_taken, unmultiplied)),
            self.weight_below.eq(passing[-width:]),
        ]
        with m.If(step.load):
            m.d.sync += shadow.eq(self.weight)
        with m.If(step.swap):
            m.d.sync += active.eq(shadow)
        return self.step_right.operand, active

    def _multiply(self, m, x, w):
        """The rest of the product, in registers: its exponent as if the significand were in [2, 4)."""
        s = _registered(m, "factors", sign=x.sign ^ w.sign, exponent=x.exponent + w.exponent,  # biased exponent plus 128
                        zero=x.zero | w.zero, special=x.special | w.special,
                        nan=x.special & (x.fraction[0] | w.zero) | w.special & (w.fraction[0] | x.zero))
        exponent, zero = s["exponent"], s["zero"]
        biased = Cat(exponent[:7], exponent[8])
        return _registered(
            m, "product", sign=s["sign"], nan=s["nan"], exponent=Mux(zero | ~exponent[8] & ~exponent[7], 0, biased),
            special=s["special"] | ~zero & exponent[7] & exponent[8], special_high=~zero & biased.all(),
            zero=zero | ~exponent[8] & (~exponent[7] | ~exponent[:7].any()), zero_low=biased == 1)

    def _accumulate(self, m, significand, product):
        m.submodules.sum = total = SumPipeline(FLOAT32, slack=1)
        partial = Unpacked(FLOAT32, self.partial_sum)
        exponent, top = product["exponent"], significand[-1]
        zero, infinite = Signal(), Signal()
        m.d.comb += [
            zero.eq(product["zero"] | product["zero_low"] & ~top),
            infinite.eq(product["special"] | product["special_high"] & top),
            total.en.eq(1),
            total.a.sign.eq(partial.sign),
            total.a.zero.eq(partial.zero),
            total.a.special.eq(partial.special),
            total.a.exponent.eq(partial.exponent),
            total.a.significand.eq(Cat(partial.fraction, 1)),
            total.b.sign.eq(product["sign"]),
            total.b.zero.eq(zero),
            total.b.special.eq(infinite),
            total.b.exponent.eq(exponent),
            total.b.significand.eq(Cat(Const(0, 8), significand)),
            total.nan.eq(product["nan"] | partial.special & (
                partial.fraction[-1] | infinite & (partial.sign ^ product["sign"]))),
            self.partial_sum_below.eq(total.o),
        ]


def _registered(m, name, **values):
    """Registers of ``values``, by the same names."""
    registers = {}
    for key, value in values.items():
        registers[key] = Signal(unsigned(len(value)), name=f"{name}_{key}", reset_less=True)
        m.d.sync += registers[key].eq(value)
    return registers
