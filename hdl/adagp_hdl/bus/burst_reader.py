"""Reads runs of bytes over AXI4."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause

from ..interfaces import ADDRESS_BITS, AxiReadSignature, Fault, Run
from .burst import BurstSplitter, WindowCheck
from .fifo import Elastic, Fifo

INCR = 1
BUFFERABLE_MODIFIABLE = 0b0011


class BurstReader(wiring.Component):
    """Fetches runs and delivers the aligned beats that hold them, in order.

    One burst is requested per cycle and one beat taken per cycle; what is requested has room in a
    buffer of ``read_buffer_beats``, so ``rready`` is always high. A run that leaves the window is
    never requested: ``fault`` says WINDOW with its first address until reset. A beat with an error
    response gives a READ_ERROR for one cycle with the address of its burst. From the cycle after ``halt`` no
    burst is requested but one that waits for ``arready``; ``quiet`` is high when none is
    outstanding. ``data.last`` marks the last beat of a run.

    With ``extents`` there is a port ``extent`` beside ``run``: so many bytes from the address of
    the run must lie in the window, instead of the bytes of the run.

    A run reaches the bus two cycles after it was taken, a beat is offered two cycles after it came.
    """

    def __init__(self, config: AcceleratorConfig, *, extents: bool = False):
        self._config = config
        self._extents = extents
        bits = config.bus_bits
        super().__init__({
            "run": In(stream.Signature(Run)),
            **({"extent": In(ADDRESS_BITS)} if extents else {}),
            "data": Out(stream.Signature(data.StructLayout({"data": bits, "last": 1}))),
            "axi": Out(AxiReadSignature(bits, id_bits=1)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS),
            "halt": In(1), "quiet": Out(1), "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.check = check = WindowCheck()
        m.submodules.split = split = BurstSplitter(beat_bytes=config.bus_bytes, beats=config.burst_beats)
        connect(m, check.o, split.i)
        m.d.comb += [
            check.i.valid.eq(self.run.valid), self.run.ready.eq(check.i.ready),
            check.i.payload.run.eq(self.run.payload),
            check.i.payload.extent.eq(self.extent if self._extents else self.run.payload.bytes),
            check.window_first.eq(self.window_first), check.window_last.eq(self.window_last),
        ]
        burst_layout = data.StructLayout({"beat": split.o.payload.beat.shape(), "last": 1})
        m.submodules.bursts = bursts = Fifo(burst_layout, config.read_buffer_beats, block=True)
        m.submodules.buffer = buffer = Fifo(self.data.payload.shape(), config.read_buffer_beats, block=True)
        connect(m, buffer.o, wiring.flipped(self.data))
        m.submodules.next_burst = next_burst = Elastic(split.o.payload.shape())
        connect(m, split.o, next_burst.i)
        self._request(m, next_burst.o, bursts.i)
        self._receive(m, check.fault, bursts.o, buffer.i)
        m.d.comb += self.quiet.eq(~self.axi.arvalid & ~bursts.o.valid)
        return m

    def _request(self, m: Module, burst, bursts):
        """Issues ``burst`` when all its beats have room, and notes it in ``bursts``."""
        axi, low = self.axi, (self._config.bus_bytes - 1).bit_length()
        room = Signal(range(self._config.read_buffer_beats + 1), init=self._config.read_buffer_beats)
        freed = Signal()
        issue, halted = Signal(), Signal()
        m.d.sync += halted.eq(self.halt)
        m.d.comb += [
            issue.eq(burst.valid & (room > burst.payload.more) & ~halted & (~axi.arvalid | axi.arready)),
            burst.ready.eq(issue), bursts.valid.eq(issue),
            bursts.payload.beat.eq(burst.payload.beat), bursts.payload.last.eq(burst.payload.last),
            axi.arsize.eq(low), axi.arburst.eq(INCR), axi.arcache.eq(BUFFERABLE_MODIFIABLE),
        ]
        m.d.sync += freed.eq(self.data.valid & self.data.ready)
        with m.If(issue):
            m.d.sync += room.eq(room + freed - burst.payload.more - 1)
        with m.Elif(freed):
            m.d.sync += room.eq(room + 1)
        with m.If(~axi.arvalid | axi.arready):
            m.d.sync += [axi.arvalid.eq(issue), axi.arlen.eq(burst.payload.more),
                         axi.araddr.eq(Cat(Const(0, low), burst.payload.beat))]

    def _receive(self, m: Module, window_fault, bursts, buffer):
        axi, low = self.axi, (self._config.bus_bytes - 1).bit_length()
        read_fault = Signal(Fault)
        m.d.comb += [
            axi.rready.eq(1), bursts.ready.eq(axi.rvalid & axi.rlast), buffer.valid.eq(axi.rvalid),
            buffer.payload.data.eq(axi.rdata), buffer.payload.last.eq(axi.rlast & bursts.payload.last),
        ]
        m.d.sync += [read_fault.valid.eq(axi.rvalid & axi.rresp[1]), read_fault.cause.eq(FaultCause.READ_ERROR),
                     read_fault.address.eq(Cat(Const(0, low), bursts.payload.beat))]
        with m.If(read_fault.valid):
            m.d.comb += self.fault.eq(read_fault)
        with m.Else():
            m.d.comb += self.fault.eq(window_fault)
