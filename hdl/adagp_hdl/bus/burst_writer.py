"""Writes runs of bytes over AXI4."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause

from ..interfaces import ADDRESS_BITS, AxiWriteSignature, Fault, Run
from .burst import BurstSplitter, WindowCheck
from .burst_reader import BUFFERABLE_MODIFIABLE, INCR
from .fifo import Fifo

OPERAND_BYTES = 2
RUNS = 16
"""Runs that may wait for their data."""
BURSTS = 64
"""Bursts that may wait for their response."""


class BurstWriter(wiring.Component):
    """Writes runs: ``run`` says where, ``data`` brings the aligned beats that hold them, in order,
    with a strobe per operand.

    A burst is begun when its run lies in the window and all its data is in the buffer of
    ``beats(config)``, so the bus never waits for data and what was begun can always be completed.
    ``data.ready`` is high while the buffer has room; ``freed`` is high in each cycle in which a beat
    leaves it. A run with ``last`` gives a ``done`` when its last burst, and so every earlier one, was
    acknowledged. One burst and one beat per cycle.

    A run that leaves the window is never begun: ``fault`` says WINDOW with its first address until
    reset. An error response gives a WRITE_ERROR for one cycle with the address of the burst. After
    ``halt`` no burst is begun; ``quiet`` is high when none is outstanding.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "run": In(stream.Signature(data.StructLayout({"run": Run, "last": 1}))),
            "data": In(stream.Signature(data.StructLayout(
                {"data": config.bus_bits, "strobe": config.bus_bytes // OPERAND_BYTES}))),
            "freed": Out(1), "done": Out(1),
            "axi": Out(AxiWriteSignature(config.bus_bits, id_bits=1)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS),
            "halt": In(1), "quiet": Out(1), "fault": Out(Fault)})

    @staticmethod
    def beats(config: AcceleratorConfig) -> int:
        return max(64, 2 * config.burst_beats)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.check = check = WindowCheck()
        m.submodules.runs = runs = Fifo(Run, RUNS)
        m.submodules.ends = ends = Fifo(1, 2 * RUNS)
        m.submodules.split = split = BurstSplitter(beat_bytes=config.bus_bytes, beats=config.burst_beats)
        m.submodules.buffer = buffer = Fifo(self.data.payload.shape(), self.beats(config), block=True)
        lengths = Fifo(split.o.payload.more.shape(), BURSTS)
        bursts = Fifo(data.StructLayout({"beat": split.o.payload.beat.shape(), "last": 1}), BURSTS)
        m.submodules.lengths, m.submodules.bursts = lengths, bursts
        connect(m, check.o, runs.i)
        connect(m, runs.o, split.i)
        connect(m, flipped(self.data), buffer.i)
        m.d.comb += [
            check.i.valid.eq(self.run.valid & ends.i.ready), ends.i.valid.eq(self.run.valid & check.i.ready),
            self.run.ready.eq(check.i.ready & ends.i.ready), ends.i.payload.eq(self.run.payload.last),
            check.i.payload.run.eq(self.run.payload.run), check.i.payload.extent.eq(self.run.payload.run.bytes),
            check.window_first.eq(self.window_first), check.window_last.eq(self.window_last),
        ]
        self._begin(m, split.o, ends.o, lengths.i, bursts.i)
        self._send(m, buffer.o, lengths.o)
        self._acknowledge(m, bursts.o, check.fault)
        return m

    def _begin(self, m: Module, burst, run_last, lengths, bursts):
        """Begins ``burst`` when all its data is there, and notes it in ``lengths`` and ``bursts``."""
        axi, low = self.axi, (self._config.bus_bytes - 1).bit_length()
        begin, stored = Signal(), Signal()
        waiting = Signal(range(self.beats(self._config) + 2))
        """Beats in the buffer that belong to no burst yet."""
        m.d.comb += [
            stored.eq(self.data.valid & self.data.ready),
            begin.eq(burst.valid & (waiting > burst.payload.more) & bursts.ready & ~self.halt
                     & (~axi.awvalid | axi.awready)),
            burst.ready.eq(begin), lengths.valid.eq(begin), bursts.valid.eq(begin),
            run_last.ready.eq(begin & burst.payload.last), lengths.payload.eq(burst.payload.more),
            bursts.payload.beat.eq(burst.payload.beat), bursts.payload.last.eq(burst.payload.last & run_last.payload),
            axi.awsize.eq(low), axi.awburst.eq(INCR), axi.awcache.eq(BUFFERABLE_MODIFIABLE),
        ]
        with m.If(begin):
            m.d.sync += waiting.eq(waiting + stored - burst.payload.more - 1)
        with m.Elif(stored):
            m.d.sync += waiting.eq(waiting + 1)
        with m.If(~axi.awvalid | axi.awready):
            m.d.sync += [axi.awvalid.eq(begin), axi.awlen.eq(burst.payload.more),
                         axi.awaddr.eq(Cat(Const(0, low), burst.payload.beat))]

    def _send(self, m: Module, beats, lengths):
        """Sends the beats of the bursts that were begun."""
        axi, sent, taken = self.axi, Signal.like(lengths.payload), Signal()
        m.d.comb += [
            axi.wvalid.eq(beats.valid & lengths.valid), axi.wdata.eq(beats.payload.data),
            axi.wstrb.eq(Cat(bit.replicate(OPERAND_BYTES) for bit in beats.payload.strobe)),
            axi.wlast.eq(sent == lengths.payload), taken.eq(axi.wvalid & axi.wready),
            beats.ready.eq(axi.wready & lengths.valid), lengths.ready.eq(taken & axi.wlast), self.freed.eq(taken),
        ]
        with m.If(taken):
            m.d.sync += sent.eq(0)
            with m.If(~axi.wlast):
                m.d.sync += sent.eq(sent + 1)

    def _acknowledge(self, m: Module, bursts, window_fault):
        axi, low = self.axi, (self._config.bus_bytes - 1).bit_length()
        write_fault = Signal(Fault)
        m.d.comb += [axi.bready.eq(1), bursts.ready.eq(axi.bvalid), self.done.eq(axi.bvalid & bursts.payload.last),
                     self.quiet.eq(~axi.awvalid & ~bursts.valid)]
        m.d.sync += [write_fault.valid.eq(axi.bvalid & axi.bresp[1]), write_fault.cause.eq(FaultCause.WRITE_ERROR),
                     write_fault.address.eq(Cat(Const(0, low), bursts.payload.beat))]
        with m.If(write_fault.valid):
            m.d.comb += self.fault.eq(write_fault)
        with m.Else():
            m.d.comb += self.fault.eq(window_fault)
