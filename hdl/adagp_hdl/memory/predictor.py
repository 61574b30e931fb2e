"""The predictor memory: the predictor's weights and what trains them, a beat at a time."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from adagp.spec.config import AcceleratorConfig

from ..interfaces import BeatRead, BeatWrite

OPERAND_BITS = 16


class PredictorMemory(wiring.Component):
    """``config.predictor_elements`` float32 values; one read and one write per cycle, each of a beat
    of the bus.

    Read data is valid exactly ``LATENCY`` cycles after ``enable``, for one cycle. A write is complete
    in the cycle after ``enable``: reads of later cycles see it. What was never written is undefined.
    """

    LATENCY = 2

    def __init__(self, config: AcceleratorConfig):
        self._beats, self._bits = self.beats(config), config.bus_bits
        super().__init__({"read": In(BeatRead(self._beats, self._bits)),
                          "write": In(BeatWrite(self._beats, self._bits))})

    @staticmethod
    def beats(config: AcceleratorConfig) -> int:
        return config.predictor_elements * 32 // config.bus_bits

    def elaborate(self, platform):
        m = Module()
        m.submodules.storage = storage = Memory(shape=self._bits, depth=self._beats, init=[])
        read, write = storage.read_port(), storage.write_port(granularity=OPERAND_BITS)
        followed = Signal()
        m.d.comb += [read.en.eq(self.read.enable), read.addr.eq(self.read.address)]
        m.d.sync += [
            write.en.eq(self.write.strobe & self.write.enable.replicate(len(self.write.strobe))),
            write.addr.eq(self.write.address), write.data.eq(self.write.data),
            followed.eq(self.read.enable),
        ]
        with m.If(followed):
            m.d.sync += self.read.data.eq(read.data)
        return m
