"""Three nested loops, one step per cycle, without multiplications."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

COUNT_BITS = 16
LEVELS = 3


class LoopCounter(wiring.Component):
    """Counts through ``counts``, ``counts[0]`` innermost, each at least 1.

    ``load`` starts at the first index, ``step`` goes to the next one. ``level`` says which loop
    that step will advance: 0 to 2, and nothing else if ``last`` is high, at the last index.
    """

    load: In(1)
    counts: In(data.ArrayLayout(COUNT_BITS, LEVELS))
    step: In(1)
    level: Out(2)
    last: Out(1)

    def elaborate(self, platform):
        m = Module()
        left = [Signal(COUNT_BITS, name=f"left{i}", reset_less=True) for i in range(LEVELS)]
        counts = [Signal(COUNT_BITS, name=f"count{i}", reset_less=True) for i in range(LEVELS - 1)]
        ends = [Signal(name=f"end{i}", reset_less=True) for i in range(LEVELS)]
        next_ends = [Signal(name=f"next_end{i}") for i in range(LEVELS)]
        m.d.comb += [self.level.eq(Mux(ends[0], Mux(ends[1], 2, 1), 0)), *(a.eq(b) for a, b in zip(next_ends, ends))]
        m.d.sync += [*(a.eq(b) for a, b in zip(ends, next_ends)), self.last.eq(Cat(next_ends).all())]
        with m.If(self.load):
            m.d.sync += [value.eq(count) for value, count in zip(left, self.counts)]
            m.d.comb += [end.eq(count == 1) for end, count in zip(next_ends, self.counts)]
            m.d.sync += [kept.eq(count) for kept, count in zip(counts, self.counts)]
        with m.Elif(self.step):
            m.d.sync += left[0].eq(Mux(self.level == 0, left[0] - 1, counts[0]))
            m.d.comb += next_ends[0].eq(Mux(self.level == 0, left[0] == 2, counts[0] == 1))
            with m.If(self.level == 1):
                m.d.sync += left[1].eq(left[1] - 1)
                m.d.comb += next_ends[1].eq(left[1] == 2)
            with m.If(self.level == 2):
                m.d.sync += [left[1].eq(counts[1]), left[2].eq(left[2] - 1)]
                m.d.comb += [next_ends[1].eq(counts[1] == 1), next_ends[2].eq(left[2] == 2)]
        return m


class LoopAddress(wiring.Component):
    """``start + Σ i·strides[i]`` modulo 2**bits for the indices of a :class:`LoopCounter` that
    shares ``load``, ``step`` and ``level``; ``next_address`` is the one of the next cycle."""

    def __init__(self, bits: int):
        self._bits = bits
        super().__init__({
            "load": In(1), "start": In(bits), "strides": In(data.ArrayLayout(bits, LEVELS)),
            "step": In(1), "level": In(2), "address": Out(bits), "next_address": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        origins = [self.address, *(Signal(self._bits, name=f"origin{i}", reset_less=True) for i in range(1, LEVELS))]
        strides = [Signal(self._bits, name=f"stride{i}", reset_less=True) for i in range(LEVELS)]
        origin, stride, following = (Signal(self._bits) for _ in range(3))
        with m.Switch(self.level):
            for i in range(LEVELS):
                with m.Case(i) if i < LEVELS - 1 else m.Default():
                    m.d.comb += [origin.eq(origins[i]), stride.eq(strides[i])]
        m.d.comb += [following.eq(origin + stride), self.next_address.eq(self.address)]
        with m.If(self.load):
            m.d.comb += self.next_address.eq(self.start)
            m.d.sync += [each.eq(self.start) for each in origins]
            m.d.sync += [kept.eq(value) for kept, value in zip(strides, self.strides)]
        with m.Elif(self.step):
            m.d.comb += self.next_address.eq(following)
            for i, each in enumerate(origins):
                with m.If(self.level >= i):
                    m.d.sync += each.eq(following)
        return m
