"""A multiplier of significands with registers around it."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class RegisteredProduct(wiring.Component):
    """``product`` is 1.left · 1.right of two fractions of ``bits``, exact, as an integer.

    ``left`` is that of two cycles ago; ``right`` that of the latest cycle with ``take`` that is at least as long ago.
    ``left_taken`` is ``left`` of the cycle before.

    A module of its own, registers included, because that is what the DSP block of an FPGA is: where the tools do not
    find registers for it, the block can take the place of the module.
    """

    def __init__(self, bits: int):
        self._bits = bits
        super().__init__({"left": In(bits), "right": In(bits), "take": In(1),
                          "left_taken": Out(bits), "product": Out(2 * bits + 2)})

    def elaborate(self, platform):
        m = Module()
        left, right, product = (Signal(width, name=name, reset_less=True) for name, width in (
            # outputs have the names of their ports, which get theirs from them in the Verilog
            ("left_taken", self._bits), ("right_taken", self._bits), ("product", len(self.product))))
        m.d.sync += [left.eq(self.left), product.eq(Cat(left, Const(1, 1)) * Cat(right, Const(1, 1)))]
        with m.If(self.take):
            m.d.sync += right.eq(self.right)
        m.d.comb += [self.left_taken.eq(left), self.product.eq(product)]
        return m
