"""Fixed delays."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


def delayed(m: Module, value: Value, cycles: int, name: str, *, reset_less: bool = True) -> Value:
    """``value`` of ``cycles`` cycles ago, from a shift register."""
    if cycles == 0:
        return value
    line = Signal(unsigned(cycles * len(value)), name=name, reset_less=reset_less)
    m.d.sync += line.eq(Cat(value, line))
    return line[-len(value):]


class DelayLine(wiring.Component):
    """``o`` is the ``i`` of ``cycles`` cycles ago, from a ring in memory: for long delays. Before the
    first ``cycles`` cycles and after a reset it is meaningless."""

    def __init__(self, width: int, cycles: int):
        if cycles < 2:
            raise ValueError(f"DelayLine.cycles must be at least 2, not {cycles!r}")
        self._cycles = cycles
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        depth = self._cycles
        m.submodules.ring = ring = Memory(shape=len(self.i), depth=depth, init=[])
        write, read = ring.write_port(), ring.read_port()
        at, following = Signal(range(depth)), Signal(range(depth))
        m.d.comb += following.eq(Mux(at == depth - 1, 0, at + 1))
        m.d.sync += at.eq(following)
        m.d.comb += [write.en.eq(1), write.addr.eq(at), write.data.eq(self.i),
                     read.en.eq(1), read.addr.eq(following), self.o.eq(read.data)]
        return m
