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
    """``o`` is ``values[index]``, each of ``words`` words of 32 bits; their number is a power of two. Combinational."""

    def __init__(self, words: int, values: int):
        self._words, self._count = words, values
        super().__init__({"index": In(range(values)), "values": In(32 * words).array(values), "o": Out(32 * words)})

    def elaborate(self, platform):
        m = Module()
        at_once = min(self._count, max(_ONE_OF))
        low, high = self.index[:(at_once - 1).bit_length()], self.index[(at_once - 1).bit_length():]
        for i in range(self._words):
            words = [value.word_select(i, 32) for value in self.values]
            chosen = []
            for first in range(0, self._count, at_once):
                m.submodules[f"{_ONE_OF[at_once]}{i}_{first // at_once}"] = one = OneOf(at_once)
                m.d.comb += [one.index.eq(low), *(a.eq(b) for a, b in zip(one.values, words[first:first + at_once], strict=True))]
                chosen.append(one.o)
            m.d.comb += self.o.word_select(i, 32).eq(indexed(chosen, high))
        return m


_ONE_OF = {2: "one_of_two", 4: "one_of_four", 8: "one_of_eight"}
"""The name of a :class:`OneOf` as an instance, by which a family's own multiplexers can take its place."""


class OneOf(wiring.Component):
    """``o`` is ``values[index]`` of two, four or eight values of 32 bits. Combinational."""

    def __init__(self, count: int):
        super().__init__({"index": In(range(count)), "values": In(32).array(count), "o": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(indexed(self.values, self.index))
        return m


def indexed(values, index):
    """``values[index]`` as an expression, for as many values as ``index`` can tell apart."""
    for bit in index:
        values = [Mux(bit, odd, even) for even, odd in zip(values[::2], values[1::2], strict=True)]
    value, = values
    return value
