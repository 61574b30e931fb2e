"""Writes runs of bytes over AXI4."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause

from ..interfaces import ADDRESS_BITS, AxiWriteSignature, BeatWrite, Fault, Run
from ..memory.predictor import PredictorMemory
from .burst import BurstSplitter, CheckedRun, WindowCheck
from .burst_reader import BUFFERABLE_MODIFIABLE, INCR
from .fifo import Fifo

OPERAND_BYTES = 2
RUNS = 16
"""Runs that may wait for their data."""
BURSTS = 64
"""Bursts that may wait for their response."""


def write_run_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A run to write. ``last`` asks for a ``done``; ``local`` runs lie in the predictor memory."""
    return data.StructLayout({"run": Run, "last": 1} | _local(config, {"local": 1}))


def _local(config: AcceleratorConfig, members: dict) -> dict:
    """``members`` where there is a predictor memory, else nothing."""
    return members if config.design.has_predictor_memory else {}


class BurstWriter(wiring.Component):
    """Writes runs: ``run`` says where, ``data`` brings the aligned beats that hold them, in order,
    with a strobe per operand.

    A burst is begun when its run lies in the window and all its data is in the buffer of
    ``beats(config)``, so the bus never waits for data and what was begun can always be completed.
    ``data.ready`` is high while the buffer has room; ``freed`` is high in each cycle in which a beat
    leaves it. A run with ``last`` gives a ``done`` when its last burst, and so every earlier one, was
    acknowledged. One burst and one beat per cycle.

    Runs in the predictor memory go the same way, between those before and after them, except that
    their beats go to ``memory``, which acknowledges them at once. Their window is the memory.

    A run that leaves the window is never begun: ``fault`` says WINDOW with its first address until
    reset. An error response gives a WRITE_ERROR for one cycle with the address of the burst. From the cycle after
    ``halt`` no burst is begun; ``quiet`` is high when none is outstanding.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._has_local = config.design.has_predictor_memory
        super().__init__({
            "run": In(stream.Signature(write_run_layout(config))),
            "data": In(stream.Signature(data.StructLayout(
                {"data": config.bus_bits, "strobe": config.bus_bytes // OPERAND_BYTES}))),
            "freed": Out(1), "done": Out(1),
            "axi": Out(AxiWriteSignature(config.bus_bits, id_bits=1)),
            **_local(config, {"memory": Out(BeatWrite(PredictorMemory.beats(config), config.bus_bits))}),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS),
            "halt": In(1), "quiet": Out(1), "fault": Out(Fault)})

    @staticmethod
    def beats(config: AcceleratorConfig) -> int:
        return max(64, 2 * config.burst_beats)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.check = check = WindowCheck(local_bytes=4 * config.predictor_elements if self._has_local else 0)
        m.submodules.runs = runs = Fifo(CheckedRun, RUNS)
        m.submodules.ends = ends = Fifo(data.StructLayout({"last": 1} | _local(config, {"local": 1})), 2 * RUNS)
        m.submodules.split = split = BurstSplitter(beat_bytes=config.bus_bytes, beats=config.burst_beats)
        m.submodules.buffer = buffer = Fifo(self.data.payload.shape(), self.beats(config), block=True)
        more, beat = split.o.payload.more.shape(), split.o.payload.beat.shape()
        place = _local(config, {"local": 1, "beat": range(PredictorMemory.beats(config))})
        m.submodules.lengths = lengths = Fifo(data.StructLayout({"more": more} | place), BURSTS)
        m.submodules.bursts = bursts = Fifo(
            data.StructLayout({"beat": beat, "last": 1} | _local(config, {"local": 1})), BURSTS, block=True)
        connect(m, check.o, runs.i)
        connect(m, runs.o, split.i)
        connect(m, flipped(self.data), buffer.i)
        m.d.comb += [
            # registers all: with them high, ``check.i.ready`` is too
            self.run.ready.eq(runs.i.ready & ends.i.ready & ~check.fault.valid),
            check.i.valid.eq(self.run.valid & self.run.ready), ends.i.valid.eq(self.run.valid & self.run.ready),
            ends.i.payload.last.eq(self.run.payload.last),
            check.i.payload.run.eq(self.run.payload.run), check.i.payload.extent.eq(self.run.payload.run.bytes),
            check.window_first.eq(self.window_first), check.window_last.eq(self.window_last),
        ]
        if self._has_local:
            m.d.comb += [port.payload.local.eq(self.run.payload.local) for port in (check.i, ends.i)]
        self._begin(m, split.o, ends.o, lengths.i, bursts.i)
        written = self._send(m, buffer.o, lengths.o)
        self._acknowledge(m, bursts.o, check.fault, written, lengths.o.valid)
        return m

    def _begin(self, m: Module, burst, kind, lengths, bursts):
        """Begins ``burst`` when all its data is there, and notes it in ``lengths`` and ``bursts``."""
        axi, low = self.axi, (self._config.bus_bytes - 1).bit_length()
        begin, stored, halted = Signal(), Signal(), Signal()
        local = kind.payload.local if self._has_local else Const(0)
        waiting = Signal(range(self.beats(self._config) + 2))
        """Beats in the buffer that belong to no burst yet."""
        m.d.comb += [
            stored.eq(self.data.valid & self.data.ready),
            begin.eq(burst.valid & (waiting > burst.payload.more) & lengths.ready & bursts.ready & ~halted
                     & (local | ~axi.awvalid | axi.awready)),
            burst.ready.eq(begin), lengths.valid.eq(begin), bursts.valid.eq(begin),
            kind.ready.eq(begin & burst.payload.last), lengths.payload.more.eq(burst.payload.more),
            bursts.payload.beat.eq(burst.payload.beat), bursts.payload.last.eq(burst.payload.last & kind.payload.last),
            axi.awsize.eq(low), axi.awburst.eq(INCR), axi.awcache.eq(BUFFERABLE_MODIFIABLE),
        ]
        if self._has_local:
            m.d.comb += [lengths.payload.local.eq(local), lengths.payload.beat.eq(burst.payload.beat),
                         bursts.payload.local.eq(local)]
        m.d.sync += halted.eq(self.halt)
        with m.If(begin):
            m.d.sync += waiting.eq(waiting + stored - burst.payload.more - 1)
        with m.Elif(stored):
            m.d.sync += waiting.eq(waiting + 1)
        with m.If(~axi.awvalid | axi.awready):
            m.d.sync += [axi.awvalid.eq(begin & ~local), axi.awlen.eq(burst.payload.more),
                         axi.awaddr.eq(Cat(Const(0, low), burst.payload.beat))]

    def _send(self, m: Module, beats, lengths):
        """Sends the beats of the bursts that were begun. Returns a signal that is high when a local
        burst has been written."""
        axi, taken = self.axi, Signal()
        sent = Signal.like(lengths.payload.more)
        local = lengths.payload.local if self._has_local else Const(0)
        ready = Signal()
        m.d.comb += [
            axi.wvalid.eq(beats.valid & lengths.valid & ~local), axi.wdata.eq(beats.payload.data),
            axi.wstrb.eq(Cat(bit.replicate(OPERAND_BYTES) for bit in beats.payload.strobe)),
            axi.wlast.eq(sent == lengths.payload.more), ready.eq((axi.wready | local) & lengths.valid),
            taken.eq(beats.valid & ready), beats.ready.eq(ready),
            lengths.ready.eq(taken & axi.wlast), self.freed.eq(taken),
        ]
        if self._has_local:
            memory = self.memory
            block = lengths.payload.beat[:len(sent)]
            m.d.comb += [memory.enable.eq(taken & local), memory.data.eq(beats.payload.data),
                         memory.strobe.eq(beats.payload.strobe),
                         memory.address.eq(Cat((block + sent)[:len(block)], lengths.payload.beat[len(block):]))]
        with m.If(taken):
            m.d.sync += sent.eq(0)
            with m.If(~axi.wlast):
                m.d.sync += sent.eq(sent + 1)
        return lengths.ready & local

    def _acknowledge(self, m: Module, bursts, window_fault, written, unsent):
        """Completes the bursts in order, a local one after it was ``written``; ``unsent``: some are not sent."""
        axi, low = self.axi, (self._config.bus_bytes - 1).bit_length()
        write_fault, responded = Signal(Fault), Signal()
        local, completed = Const(0), Const(0)
        if self._has_local:
            written_local = Signal(range(BURSTS + 1))  # local bursts that are written and not completed
            local = bursts.valid & bursts.payload.local
            completed = local & (written_local != 0)
            m.d.sync += written_local.eq(written_local + written - completed)
        m.d.comb += [axi.bready.eq(~local), responded.eq(axi.bvalid & ~local), bursts.ready.eq(responded | completed),
                     self.done.eq(bursts.ready & bursts.payload.last), self.quiet.eq(~axi.awvalid & ~unsent & ~bursts.valid)]
        m.d.sync += [write_fault.valid.eq(responded & axi.bresp[1]), write_fault.cause.eq(FaultCause.WRITE_ERROR),
                     write_fault.address.eq(Cat(Const(0, low), bursts.payload.beat))]
        with m.If(write_fault.valid):
            m.d.comb += self.fault.eq(write_fault)
        with m.Else():
            m.d.comb += self.fault.eq(window_fault)
