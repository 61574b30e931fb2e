"""Addresses of nested loops, without multiplications."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

COUNT_BITS = 16


class Loops(wiring.Component):
    """Counts through nested loops, ``counts[0]`` innermost, each at least 1.

    ``begin`` goes to the first index of all, ``step`` to the next one. ``counts`` must be stable
    from ``begin`` to the last step. ``at_last[i]`` is high while loop i is at its last index,
    ``ends[i]`` while loops 0 to i are; both are registers.
    """

    def __init__(self, levels: int):
        self._levels = levels
        super().__init__({"begin": In(1), "counts": In(data.ArrayLayout(COUNT_BITS, levels)), "step": In(1),
                          "at_last": Out(levels), "ends": Out(levels)})

    def elaborate(self, platform):
        m = Module()
        will_end = 1
        for i in range(self._levels):
            left = Signal(COUNT_BITS, name=f"left{i}", reset_less=True)
            restarts, advances = self.begin | self.ends[i], self.ends[i - 1] if i else 1
            will_be_last = Signal(name=f"will_be_last{i}")
            m.d.comb += will_be_last.eq(Mux(restarts, self.counts[i] == 1, Mux(advances, left == 2, self.at_last[i])))
            will_end &= will_be_last
            with m.If(self.begin | self.step):
                m.d.sync += [self.at_last[i].eq(will_be_last), self.ends[i].eq(will_end)]
                with m.If(restarts):
                    m.d.sync += left.eq(self.counts[i])
                with m.Elif(advances):
                    m.d.sync += left.eq(left - 1)
        return m


class Addresses(wiring.Component):
    """``first + Σ i·strides[i]`` modulo 2**bits for the indices i of a :class:`Loops` that shares
    ``begin``, ``step`` and ``ends``. ``strides`` must be stable from ``begin`` to the last step."""

    def __init__(self, levels: int, bits: int):
        self._levels = levels
        self._bits = bits
        super().__init__({"begin": In(1), "first": In(bits), "strides": In(data.ArrayLayout(bits, levels)),
                          "step": In(1), "ends": In(levels), "address": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        origins = [self.address, *(Signal(self._bits, name=f"origin{i}", reset_less=True)
                                   for i in range(1, self._levels))]
        origin, stride, following = Signal(self._bits), Signal(self._bits), Signal(self._bits)
        m.d.comb += [origin.eq(origins[-1]), stride.eq(self.strides[self._levels - 1])]
        for i in reversed(range(self._levels - 1)):
            with m.If(~self.ends[i]):
                m.d.comb += [origin.eq(origins[i]), stride.eq(self.strides[i])]
        m.d.comb += following.eq(origin + stride)
        for i, each in enumerate(origins):
            with m.If(self.begin):
                m.d.sync += each.eq(self.first)
            with m.Elif(self.step & (self.ends[i - 1] if i else 1)):
                m.d.sync += each.eq(following)
        return m
