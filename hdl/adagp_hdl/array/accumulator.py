"""What happens to the sums of the array."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..arithmetic.adder import FloatAdder
from ..interfaces import VectorRead, VectorWrite
from .delay import delayed
from .streamer import WORD_BITS, destination_layout


class Accumulator(wiring.Component):
    """Adds ``sums`` to the accumulators, or overwrites them with it. One word per cycle.

    ``read`` must give −0 in every lane where nothing was read. ``sums`` come ``vector_latency`` cycles (that of the vector
    memory) after ``valid`` and ``destination``; they are written, and ``done`` is high if they were the last of an
    instruction, :meth:`latency` cycles after ``valid``. Lanes without a column are written +0.
    """

    def __init__(self, *, columns: int, lanes: int, vector_latency: int):
        self._columns, self._lanes, self._vector_latency = columns, lanes, vector_latency
        super().__init__({
            "valid": In(1), "destination": In(destination_layout()), "sums": In(data.ArrayLayout(32, columns)),
            "read": Out(VectorRead(lanes, WORD_BITS)), "write": Out(VectorWrite(lanes, WORD_BITS)), "done": Out(1)})

    @staticmethod
    def latency(vector_latency: int) -> int:
        return vector_latency + FloatAdder.LATENCY

    def elaborate(self, platform):
        m = Module()
        latency = self.latency(self._vector_latency)
        m.d.comb += [
            self.read.valid.eq(self.valid & ~self.destination.fresh),
            self.read.address.eq(self.destination.word),
            self.write.valid.eq(delayed(m, self.valid, latency, "valid_late", reset_less=False)),
            self.write.mask.eq(Const(-1, self._lanes)),
        ]
        late = Signal(destination_layout())
        m.d.comb += [
            late.eq(delayed(m, self.destination.as_value(), latency, "destination_late")),
            self.write.address.eq(late.word),
            self.done.eq(self.write.valid & late.last),
        ]
        for c in range(self._columns):
            m.submodules[f"adder{c}"] = adder = FloatAdder()
            m.d.comb += [
                adder.en.eq(1),
                adder.a.eq(self.read.data[c]),  # −0 where nothing was read, which changes no sum
                adder.b.eq(self.sums[c]),
                self.write.data[c].eq(adder.o),
            ]
        return m
