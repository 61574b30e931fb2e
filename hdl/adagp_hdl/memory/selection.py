"""Multiplexers of words, as components: a design has many equal ones, and synthesis sees nothing but the choice.

With what computes the selects in view, it would copy multiplexers to be ready for the one that comes last.
"""

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class FirstOf(wiring.Component):
    """``o`` is the value of the first of ``selects`` that is high, if none is the last value, which needs no select.
    Combinational."""

    def __init__(self, bits: int, values: int):
        super().__init__({"selects": In(values - 1), "values": In(bits).array(values), "o": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        *values, chosen = self.values
        for select, value in reversed(list(zip(self.selects, values, strict=True))):
            chosen = Mux(select, value, chosen)
        m.d.comb += self.o.eq(chosen)
        return m


class Indexed(wiring.Component):
    """``o`` is ``values[index]``; their number is a power of two. Combinational."""

    def __init__(self, bits: int, values: int):
        self._bits, self._count = bits, values
        super().__init__({"index": In(range(values)), "values": In(bits).array(values), "o": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        values, index = list(self.values), self.index
        if self._count > 2:
            values, index = [self._of_four(m, i, values[4 * i:4 * i + 4]) for i in range(self._count // 4)], index[2:]
        for bit in index:
            values = [Mux(bit, odd, even) for even, odd in zip(values[::2], values[1::2], strict=True)]
        m.d.comb += self.o.eq(values[0])
        return m

    def _of_four(self, m: Module, number: int, values):
        m.submodules[f"lower{number}"] = lower = LowerHalf(self._bits)
        m.submodules[f"upper{number}"] = upper = UpperHalf(self._bits)
        m.d.comb += [
            lower.index.eq(self.index), lower.a.eq(values[0]), lower.b.eq(values[1]),
            upper.high.eq(self.index[1]), upper.lower.eq(lower.o), upper.a.eq(values[2]), upper.b.eq(values[3])]
        return upper.o


class LowerHalf(wiring.Component):
    """``a`` or ``b`` for ``index`` 0 or 1, else in each bit the low bit of ``index``, for an :class:`UpperHalf`.

    The two choose one of four values with two functions of four variables per bit. Plain multiplexers take three, and
    synthesis makes those of the two if it sees both at once.
    """

    def __init__(self, bits: int):
        super().__init__({"index": In(2), "a": In(bits), "b": In(bits), "o": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        low, high = self.index
        m.d.comb += self.o.eq(Mux(high, low.replicate(len(self.o)), Mux(low, self.b, self.a)))
        return m


class UpperHalf(wiring.Component):
    """What a :class:`LowerHalf` chose, or with ``high`` ``a`` or ``b`` as it says."""

    def __init__(self, bits: int):
        super().__init__({"high": In(1), "lower": In(bits), "a": In(bits), "b": In(bits), "o": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(Mux(self.high, self.lower & self.b | ~self.lower & self.a, self.lower))
        return m
