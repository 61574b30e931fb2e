"""A multiplier of significands with registers around it."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class RegisteredProduct(wiring.Component):
    """``product`` is 1.left · 1.right of two fractions of ``bits``, exact, as an integer.

    ``left`` is that of two cycles ago; ``right`` that of the latest cycle with ``take`` that is at least as long ago.

    A module of its own, registers included, because that is what the DSP block of an FPGA is: where the tools do not
    find registers for it, the block can take the place of the module.
    """

    def __init__(self, bits: int):
        self._bits = bits
        super().__init__({"left": In(bits), "right": In(bits), "take": In(1), "product": Out(2 * bits + 2)})

    def elaborate(self, platform):
        m = Module()
        left, right = (Signal(self._bits, name=f"{name}_taken", reset_less=True) for name in ("left", "right"))
        product = Signal(len(self.product), reset_less=True)  # of the port's name, which the Verilog's port gets from it
        m.d.sync += [left.eq(self.left), product.eq(Cat(left, Const(1, 1)) * Cat(right, Const(1, 1)))]
        with m.If(self.take):
            m.d.sync += right.eq(self.right)
        m.d.comb += self.product.eq(product)
        return m
