"""Multipliers of significands with registers in them, each a module for which a family's own blocks can stand in."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class RegisteredProduct(wiring.Component):
    """``product`` is 1.left · 1.right of two fractions of ``bits``, exact, as an integer.

    ``left`` is that of ``LATENCY`` cycles ago; ``right`` that of the latest cycle with ``take`` that is at least as long
    ago. ``left_taken`` is ``left`` of the cycle before.

    A module of its own, registers included, because that is what the DSP block of an FPGA is: where the tools do not
    find registers for it, the block can take the place of the module. The second register of the product is for the
    way from there: blocks stand in columns of their own, far from some of the logic that they work for.
    """

    LATENCY = 3

    def __init__(self, bits: int):
        self._bits = bits
        super().__init__({"left": In(bits), "right": In(bits), "take": In(1),
                          "left_taken": Out(bits), "product": Out(2 * bits + 2)})

    def elaborate(self, platform):
        m = Module()
        left, right, multiplied, product = (Signal(width, name=name, reset_less=True) for name, width in (
            # outputs have the names of their ports, which get theirs from them in the Verilog
            ("left_taken", self._bits), ("right_taken", self._bits), ("multiplied", len(self.product)),
            ("product", len(self.product))))
        m.d.sync += [left.eq(self.left), multiplied.eq(Cat(left, Const(1, 1)) * Cat(right, Const(1, 1))),
                     product.eq(multiplied)]
        with m.If(self.take):
            m.d.sync += right.eq(self.right)
        m.d.comb += [self.left_taken.eq(left), self.product.eq(product)]
        return m


class StalledProduct(wiring.Component):
    """``product`` is 1.left · 1.right of two fractions of ``bits`` bits, exact, as an integer, of two cycles with ``en``
    high ago. While ``en`` is low it stands still.

    One DSP block of 7-series and as little logic as possible. The multipliers of other families are of other sizes,
    and they may have more of them: there another module can take the place of this one.
    """

    def __init__(self, bits: int):
        self._bits = bits
        super().__init__({"en": In(1), "left": In(bits), "right": In(bits), "product": Out(2 * bits + 2)})

    def elaborate(self, platform):
        m = Module()
        split = min(17, self._bits)  # the narrower side of the block
        significand = Cat(self.left, Const(1, 1))
        left, right, triple_left, low, high = (Signal(width, name=name, reset_less=True) for name, width in (
            ("left_taken", self._bits + 1), ("right_taken", self._bits + 1), ("triple_left", self._bits + 3),
            ("low", self._bits + 1 + split), ("high", 2 * (self._bits + 1) - split)))
        with m.If(self.en):
            m.d.sync += [
                left.eq(significand), right.eq(Cat(self.right, Const(1, 1))), triple_left.eq(significand + (significand << 1)),
                low.eq(left * right[:split]), high.eq(_sums(left, triple_left, right[split:]))]
        m.d.comb += self.product.eq(low + (high << split))
        return m


def _sums(a, triple_a, b):
    """``a · b`` without a multiplier."""
    if len(b) == 1:
        return Mux(b, a, 0)
    if len(b) == 2:
        return Mux(b[1], Mux(b[0], triple_a, a << 1), Mux(b[0], a, 0))
    half = (len(b) + 1) // 4 * 2 or 2
    low, high = _sums(a, triple_a, b[:half]), _sums(a, triple_a, b[half:])
    return Cat(low[:half], low[half:] + high)
