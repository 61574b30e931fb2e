"""Reads runs of external memory and of the predictor memory in one order."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import AcceleratorConfig

from ..interfaces import ADDRESS_BITS, AxiReadSignature, BeatRead, Fault, Run
from ..memory.predictor import PredictorMemory
from .burst_reader import BurstReader
from .fifo import Fifo
from .local_reader import LocalReader


class Reader(wiring.Component):
    """A :class:`BurstReader` with ``extents`` and a :class:`LocalReader` side by side: ``local`` beside
    ``run`` chooses, and ``data`` gives the beats of all runs in the order of the runs, one cycle later
    than the two readers.

    Neither waits for the other before it has filled its buffers, so runs of the one are fetched while
    beats of the other are delivered, and a change between the two costs nothing.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        bits = config.bus_bits
        super().__init__({
            "run": In(stream.Signature(Run)), "extent": In(ADDRESS_BITS), "local": In(1),
            "data": Out(stream.Signature(data.StructLayout({"data": bits, "last": 1}))),
            "axi": Out(AxiReadSignature(bits, id_bits=1)),
            "memory": Out(BeatRead(PredictorMemory.beats(config), bits)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS),
            "halt": In(1), "quiet": Out(1), "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.external = external = BurstReader(self._config, extents=True)
        m.submodules.local_reader = local = LocalReader(self._config)
        m.submodules.order = order = Fifo(1, self._config.read_buffer_beats)
        connect(m, external.axi, flipped(self.axi))
        connect(m, local.memory, flipped(self.memory))
        m.d.comb += [
            external.window_first.eq(self.window_first), external.window_last.eq(self.window_last),
            external.halt.eq(self.halt), self.quiet.eq(external.quiet),
            self.fault.eq(Mux(external.fault.valid, external.fault, local.fault)),
            self.run.ready.eq(order.i.ready & Mux(self.local, local.run.ready, external.run.ready)),
            order.i.valid.eq(self.run.valid & self.run.ready), order.i.payload.eq(self.local),
        ]
        for source, chosen in ((external, ~self.local), (local, self.local)):
            m.d.comb += [source.run.valid.eq(self.run.valid & order.i.ready & chosen),
                         source.run.payload.eq(self.run.payload), source.extent.eq(self.extent)]
        free, beat = Signal(), Signal(self.data.payload.shape())
        valid = Signal()
        m.d.comb += [
            free.eq(~self.data.valid | self.data.ready),
            valid.eq(order.o.valid & Mux(order.o.payload, local.data.valid, external.data.valid)),
            beat.eq(Mux(order.o.payload, local.data.payload, external.data.payload)),
            order.o.ready.eq(free & valid & beat.last),
            external.data.ready.eq(free & order.o.valid & ~order.o.payload),
            local.data.ready.eq(free & order.o.valid & order.o.payload),
        ]
        with m.If(free):
            m.d.sync += [self.data.valid.eq(valid), self.data.payload.eq(beat)]
        return m
