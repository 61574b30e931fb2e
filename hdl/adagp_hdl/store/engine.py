"""Executes Store."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine

from ..bus.burst_writer import BURSTS, BurstWriter
from ..bus.fifo import Elastic
from ..interfaces import ADDRESS_BITS, AxiWriteSignature, BeatWrite, EngineSignature, VectorRead
from ..memory.predictor import PredictorMemory
from .assembler import Assembler
from .groups import StoreGroup, StoreGroups
from .pieces import PieceReader


class StoreEngine(wiring.Component):
    """Vector memory → external or predictor memory, as ``Store`` says.

    Sends one beat per cycle where it reads one word per cycle (FLOAT32: two beats per word and
    more); a run costs at least one cycle. ``vector_latency`` is that of the vector memory, whose data
    must stay until that of the next grant. ``bases`` and the window must be stable while the engine
    is busy. ``done`` comes with the last write response.

    Faults: MISALIGNED, WINDOW and WRITE_ERROR; earlier runs may have been written. After ``halt`` no
    burst is begun, those that were are completed.
    """

    def __init__(self, config: AcceleratorConfig, *, vector_latency: int = 2):
        self._config = config
        self._latency = vector_latency
        self._has_local = config.design.has_predictor_memory
        local = {"local_write": Out(BeatWrite(PredictorMemory.beats(config), config.bus_bits))}
        super().__init__({
            **EngineSignature(Engine.STORE).members,
            "axi": Out(AxiWriteSignature(config.bus_bits, id_bits=1)),
            **(local if self._has_local else {}),
            "bases": In(data.ArrayLayout(ADDRESS_BITS, 8)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS),
            "vector_read": Out(VectorRead(config.vector_lanes))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.groups = groups = StoreGroups(config)
        m.submodules.pieces = pieces = PieceReader(config, latency=self._latency, beats=BurstWriter.beats(config))
        m.submodules.assembler = assembler = Assembler(config)
        m.submodules.writer = writer = BurstWriter(config)
        connect(m, flipped(self.instruction), groups.instruction)
        m.submodules.waiting = waiting = Elastic(StoreGroup)
        connect(m, groups.group, waiting.i)
        connect(m, waiting.o, pieces.group)
        connect(m, groups.run, writer.run)
        connect(m, pieces.vector_read, flipped(self.vector_read))
        connect(m, pieces.piece, assembler.piece)
        connect(m, writer.axi, flipped(self.axi))
        if self._has_local:
            connect(m, writer.memory, flipped(self.local_write))
        started = Signal(range(2 * BURSTS))
        m.d.comb += [
            groups.bases.eq(self.bases), pieces.freed.eq(writer.freed), assembler.word.eq(pieces.word),
            writer.data.valid.eq(assembler.beat.valid), writer.data.payload.eq(assembler.beat.payload),
            writer.window_first.eq(self.window_first), writer.window_last.eq(self.window_last),
            writer.halt.eq(self.halt), self.quiet.eq(writer.quiet), self.done.eq(writer.done),
            self.fault.eq(Mux(writer.fault.valid, writer.fault, groups.fault)),
            self.busy.eq(self.instruction.valid | (started != 0)),
        ]
        m.d.sync += started.eq(started + (self.instruction.valid & self.instruction.ready) - self.done)
        return m
