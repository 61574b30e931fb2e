"""Addresses of nested loops, without multiplications."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Walk(wiring.Component):
    """``first + Σ i·strides[i]`` modulo 2**bits for all loop indices, ``counts[0]`` innermost.

    ``begin`` starts at the first address, which is there in the next cycle; ``step`` goes on to the
    next one. ``counts`` (each at least 1) and ``strides`` must be stable from ``begin`` to the last
    step. ``at_last[i]`` is high when loop i is at its last index, ``ends[i]`` when loops 0 to i are.
    """

    def __init__(self, *, levels: int, bits: int, count_bits: int = 16):
        self._levels = levels
        self._bits = bits
        self._count_bits = count_bits
        super().__init__({
            "begin": In(1), "first": In(bits), "counts": In(data.ArrayLayout(count_bits, levels)),
            "strides": In(data.ArrayLayout(bits, levels)), "step": In(1),
            "address": Out(bits), "at_last": Out(levels), "ends": Out(levels)})

    def elaborate(self, platform):
        m = Module()
        left = [Signal(self._count_bits, name=f"left{i}", reset_less=True) for i in range(self._levels)]
        origins = [self.address, *(Signal(self._bits, name=f"origin{i}", reset_less=True)
                                   for i in range(1, self._levels))]
        for i in range(self._levels):
            m.d.comb += [self.at_last[i].eq(left[i] == 1), self.ends[i].eq(self.at_last[:i + 1].all())]
        origin, stride, following = Signal(self._bits), Signal(self._bits), Signal(self._bits)
        m.d.comb += [origin.eq(origins[-1]), stride.eq(self.strides[self._levels - 1])]
        for i in reversed(range(self._levels - 1)):
            with m.If(~self.ends[i]):
                m.d.comb += [origin.eq(origins[i]), stride.eq(self.strides[i])]
        m.d.comb += following.eq(origin + stride)
        with m.If(self.begin):
            m.d.sync += [each.eq(self.first) for each in origins]
            m.d.sync += [value.eq(count) for value, count in zip(left, self.counts)]
        with m.Elif(self.step):
            m.d.sync += self.address.eq(following)
            for i in range(self._levels):
                with m.If(self.ends[i - 1] if i else 1):
                    m.d.sync += left[i].eq(left[i] - 1)
                with m.If(self.ends[i]):
                    m.d.sync += left[i].eq(self.counts[i])
                if i:
                    with m.If(self.ends[i - 1]):
                        m.d.sync += origins[i].eq(following)
        return m
