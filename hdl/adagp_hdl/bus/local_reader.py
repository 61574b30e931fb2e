"""Reads runs of bytes of the predictor memory."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import AcceleratorConfig

from ..interfaces import ADDRESS_BITS, BeatRead, Fault, Run
from ..memory.predictor import PredictorMemory
from .burst import WindowCheck
from .fifo import Fifo

RUNS = 32
"""Runs that may wait."""
_BUFFER = 4
"""Beats that have been read or are being read; as many as it takes to read one per cycle."""


class LocalReader(wiring.Component):
    """Delivers the aligned beats that hold runs of the predictor memory, in order, as
    :class:`~adagp_hdl.bus.burst_reader.BurstReader` does for those of external memory.

    ``extent`` bytes from the address of a run must lie in the memory; a run that leaves it is not read, and
    ``fault`` says WINDOW with its first address until reset. One beat per cycle; the first is offered
    six cycles after its run was taken.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "run": In(stream.Signature(Run)), "extent": In(ADDRESS_BITS),
            "data": Out(stream.Signature(data.StructLayout({"data": config.bus_bits, "last": 1}))),
            "memory": Out(BeatRead(PredictorMemory.beats(config), config.bus_bits)), "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        config, memory = self._config, self.memory
        low, bits = (config.bus_bytes - 1).bit_length(), len(memory.address)
        m.submodules.check = check = WindowCheck()
        m.submodules.runs = runs = Fifo(data.StructLayout({"first": bits, "last": bits, "legal": 1}), RUNS)
        m.submodules.buffer = buffer = Fifo(self.data.payload.shape(), _BUFFER)
        connect(m, buffer.o, flipped(self.data))
        checked = check.o.payload.run
        m.d.comb += [
            check.i.valid.eq(self.run.valid), self.run.ready.eq(check.i.ready),
            check.i.payload.run.eq(self.run.payload), check.i.payload.extent.eq(self.extent),
            check.window_last.eq(4 * config.predictor_elements - 1), self.fault.eq(check.fault),
            runs.i.valid.eq(check.o.valid), check.o.ready.eq(runs.i.ready),
            runs.i.payload.first.eq(checked.address[low:]), runs.i.payload.legal.eq(check.o.payload.legal),
            runs.i.payload.last.eq((checked.address + checked.bytes - 1)[low:]),
        ]
        last, held, ends, issue = Signal.like(memory.address), Signal(), Signal(), Signal()
        room = Signal(range(_BUFFER + 1), init=_BUFFER)
        m.d.comb += [ends.eq(memory.address == last), issue.eq(held & (room != 0)), memory.enable.eq(issue),
                     runs.o.ready.eq(~held | issue & ends)]
        with m.If(runs.o.ready):
            m.d.sync += [held.eq(runs.o.valid & runs.o.payload.legal), memory.address.eq(runs.o.payload.first),
                         last.eq(runs.o.payload.last)]
        with m.Elif(issue):
            m.d.sync += memory.address.eq(memory.address + 1)
        m.d.sync += room.eq(room + (self.data.valid & self.data.ready) - issue)
        issued, ended = Signal(PredictorMemory.LATENCY), Signal(PredictorMemory.LATENCY)
        m.d.sync += [issued.eq(Cat(issue, issued)), ended.eq(Cat(ends, ended))]
        m.d.comb += [buffer.i.valid.eq(issued[-1]), buffer.i.payload.last.eq(ended[-1]),
                     buffer.i.payload.data.eq(memory.data)]
        return m
