"""Executes Load and Fill."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine

from ..bus.burst_reader import BurstReader
from ..bus.fifo import Elastic, Fifo
from ..bus.reader import Reader
from ..interfaces import ADDRESS_BITS, AxiReadSignature, BeatRead, EngineSignature, Run
from ..memory.predictor import PredictorMemory
from .aligner import Aligner
from .chunker import Chunker
from .groups import Groups
from .layouts import block_columns, chunk_layout, fetched_layout, group_layout, transfer_layout, transpose_lanes
from .runs import LoadRuns
from .transposer import Transposer
from .writer import Writer, write_ports

TRANSFERS = 8
"""Instructions whose data may be requested before the first of them is done."""


class LoadEngine(wiring.Component):
    """External memory, predictor memory and constants → memories on chip, as ``Load`` and ``Fill`` say.

    Takes one beat per cycle where the destination takes it: each group of ``length`` elements costs
    one write per beat of elements that it has, a fill one per word. Requests run ahead of the
    writes by up to the read buffer, across instructions. ``bases`` and the window must be stable
    while the engine is busy. ``done`` comes one cycle after the last write.

    Faults: MISALIGNED, WINDOW and READ_ERROR; what was written before stays.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._has_local = config.design.has_predictor_memory
        local = {"local_read": Out(BeatRead(PredictorMemory.beats(config), config.bus_bits))}
        super().__init__({
            **EngineSignature(Engine.LOAD).members,
            "axi": Out(AxiReadSignature(config.bus_bits, id_bits=1)),
            **(local if self._has_local else {}),
            "bases": In(data.ArrayLayout(ADDRESS_BITS, 8)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS),
            **write_ports(config)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.runs = runs = LoadRuns(self._config)
        reader = Reader(self._config) if self._has_local else BurstReader(self._config, extents=True)
        m.submodules.reader = reader
        m.submodules.writer = writer = Writer(self._config)
        connect(m, flipped(self.instruction), runs.instruction)
        self._request(m, runs, reader)
        connect(m, flipped(self.axi), reader.axi)
        if self._has_local:
            connect(m, reader.memory, flipped(self.local_read))
        for port in write_ports(self._config):
            connect(m, getattr(writer, port), flipped(getattr(self, port)))
        m.d.comb += [
            runs.bases.eq(self.bases), reader.halt.eq(self.halt),
            reader.window_first.eq(self.window_first), reader.window_last.eq(self.window_last),
            self.quiet.eq(reader.quiet), self.done.eq(writer.done),
            self.fault.eq(Mux(reader.fault.valid, reader.fault, runs.fault)),
        ]
        self._move(m, runs, reader, writer)
        self._count(m, runs.transfer)
        return m

    def _request(self, m: Module, runs, reader):
        m.submodules.wanted = wanted = Elastic(data.StructLayout({"run": Run, "extent": ADDRESS_BITS, "local": 1}))
        run, extent, local = (wanted.o.payload[name] for name in ("run", "extent", "local"))
        m.d.comb += [
            wanted.i.valid.eq(runs.run.valid), runs.run.ready.eq(wanted.i.ready), wanted.i.payload.run.eq(runs.run.payload),
            wanted.i.payload.extent.eq(runs.extent), wanted.i.payload.local.eq(runs.local),
            reader.run.valid.eq(wanted.o.valid), wanted.o.ready.eq(reader.run.ready),
            reader.run.payload.eq(run), reader.extent.eq(extent)]
        if self._has_local:
            m.d.comb += reader.local.eq(local)

    def _move(self, m: Module, runs, reader, writer):
        config = self._config
        m.submodules.transfers = transfers = Fifo(transfer_layout(config), TRANSFERS)
        m.submodules.fetched = fetched = Fifo(fetched_layout(config), config.read_buffer_beats, block=True)
        m.submodules.groups = groups = Groups(config)
        m.submodules.chunker = chunker = Chunker(config)
        m.submodules.aligner = aligner = Aligner(config)
        m.submodules.transposer = transposer = Transposer(
            lanes=transpose_lanes(config), columns=block_columns(config), chunk=config.bus_operands)
        connect(m, runs.transfer, transfers.i)
        connect(m, runs.fetched, fetched.i)
        connect(m, transfers.o, groups.transfer)
        m.submodules.next_group = next_group = Elastic(group_layout(config))
        m.submodules.aligned = aligned = Elastic(aligner.o.payload.shape())
        connect(m, groups.group, next_group.i)
        connect(m, next_group.o, chunker.group)
        connect(m, fetched.o, chunker.fetched)
        m.submodules.next_chunk = next_chunk = Elastic(chunk_layout(config))
        connect(m, chunker.chunk, next_chunk.i)
        connect(m, next_chunk.o, aligner.chunk)
        connect(m, aligner.o, aligned.i)
        connect(m, aligned.o, writer.chunk)
        connect(m, transposer.o, writer.word)
        # A chunk that a column must not overtake. Beside a column the chunker makes those of blocks only, and what waits in
        # ``aligned`` waits for the vector memory, as a column does then.
        pending = Signal()
        m.d.comb += [
            pending.eq(aligner.pending | ~next_chunk.i.ready & ~next_chunk.kept.target.block),
            aligner.beat.valid.eq(reader.data.valid), aligner.beat.payload.eq(reader.data.payload.data),
            reader.data.ready.eq(aligner.beat.ready), chunker.freed.eq(transposer.freed),
            writer.column.payload.eq(chunker.column.payload), transposer.first_lane.eq(writer.word_lane),
            writer.column.valid.eq(chunker.column.valid & ~pending),
            chunker.column.ready.eq(writer.column.ready),  # which follows its valid
        ]
        m.d.comb += [getattr(transposer, name).eq(getattr(writer.block, name))
                     for name in ("write", "row", "column", "count", "last", "data")]

    def _count(self, m: Module, transfer):
        """``busy`` from the instructions that were begun and are not done."""
        begun = Signal(range(2 * TRANSFERS))
        m.d.comb += self.busy.eq(self.instruction.valid | (begun != 0))
        m.d.sync += begun.eq(begun + (transfer.valid & transfer.ready) - self.done)
