"""Nested loops and the addresses that walk with them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class LoopNest(wiring.Component):
    """Counts through three nested loops, the first innermost.

    ``load`` takes the ``counts`` (at least 1 each) and starts at the first iteration. ``step`` goes on by
    one, after the last iteration to the first again. ``wraps[k]`` is high while loops 0 to k are all
    in their last iteration.
    """

    load: In(1)
    counts: In(data.ArrayLayout(16, 3))
    step: In(1)
    wraps: Out(3)

    def elaborate(self, platform):
        m = Module()
        advance, endings = self.step, []
        for k in range(3):
            count, left = Signal(16, name=f"count{k}", reset_less=True), Signal(16, name=f"left{k}", reset_less=True)
            single, last = Signal(name=f"single{k}", reset_less=True), Signal(name=f"last{k}", reset_less=True)
            ending = Signal(name=f"ending{k}")  # of the next cycle's iteration
            m.d.comb += ending.eq(last)
            with m.If(self.load):
                m.d.sync += [count.eq(self.counts[k]), left.eq(self.counts[k]), single.eq(ending)]
                m.d.comb += ending.eq(self.counts[k] == 1)
            with m.Elif(advance):
                m.d.sync += left.eq(Mux(last, count, left - 1))
                m.d.comb += ending.eq(Mux(last, single, left == 2))
            endings.append(ending)
            m.d.sync += [last.eq(ending), self.wraps[k].eq(Cat(endings).all())]
            advance = self.step & self.wraps[k]
        return m


class AddressNest(wiring.Component):
    """The address of the current iteration of ``levels`` nested loops, without multiplication.

    ``load`` takes ``base`` and ``strides``. In a cycle with ``step`` the innermost loop k without ``wraps[k]``, else the
    outermost, goes on: its stride is added to where its current iteration began, and the loops inside it start again
    there. ``wraps[k]`` implies ``wraps[k - 1]``.
    """

    def __init__(self, levels: int, bits: int):
        self._levels = levels
        super().__init__({
            "load": In(1), "base": In(bits), "strides": In(data.ArrayLayout(bits, levels)),
            "step": In(1), "wraps": In(levels - 1), "address": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        bits = len(self.base)
        strides = [Signal(bits, name=f"stride{k}", reset_less=True) for k in range(self._levels)]
        starts = [Signal(bits, name=f"start{k}", reset_less=True) for k in range(self._levels)]
        following, goes_on = Signal(bits), Signal(self._levels)
        starting = Cat(1, self.wraps)
        m.d.comb += [
            goes_on.eq(starting & ~Cat(self.wraps, 0)),
            following.eq(_selected(goes_on, [(start + stride)[:bits] for start, stride in zip(starts, strides)])),
            self.address.eq(starts[0]),
        ]
        for k in range(self._levels):
            with m.If(self.load):
                m.d.sync += [starts[k].eq(self.base), strides[k].eq(self.strides[k])]
            with m.Elif(self.step & starting[k]):
                m.d.sync += starts[k].eq(following)
        return m


def _selected(one_hot, values):
    result = 0
    for flag, value in zip(one_hot, values, strict=True):
        result = result | value & flag.replicate(len(value))
    return result
