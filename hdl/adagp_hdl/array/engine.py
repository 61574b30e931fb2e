"""The engine that executes ``Array`` instructions."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import Engine, Opcode, Pass

from ..interfaces import EngineSignature, OperandRead, VectorRead, VectorWrite, instruction_layout
from ..memory.operand import OperandMemory
from .accumulator import Accumulator
from .delay import DelayLine, delayed
from .loader import StationaryLoader
from .streamer import LAYER_BITS, WORD_BITS, Streamer, claim_layout, destination_layout
from .systolic import SystolicArray


class ArrayEngine(wiring.Component):
    """Executes ``Array`` instructions: weights, vectors, array, accumulators.

    One vector per cycle. Nothing is lost between tiles and instructions as long as a tile has at
    least ``rows`` vectors and an accumulator does not return within
    ``Accumulator.latency(vector_latency) + 1`` cycles; the weights of the next tile load meanwhile, also
    those of the next instruction. An instruction's last sums are written, and ``done`` is high,
    :meth:`latency` cycles after its last vector was issued.

    ``stream`` and ``stationary`` read operand memories of ``OperandMemory.LATENCY``;
    ``accumulator_read`` and ``accumulator_write`` belong to a vector memory of ``vector_words`` (a power
    of two) that reads in ``vector_latency`` cycles and are always ready. ``macs`` is the number of
    multiply-accumulates of the vector that entered (existing rows times columns in use) or 0,
    ``tag`` and ``layer`` the pass and the layer that it, or the last one before, works for.

    Two arrays on one vector memory of ``vector_banks`` keep out of each other's banks at issue, because
    nothing behind it can wait. A vector reads and writes its accumulator a fixed number of cycles after
    its issue, both the same number earlier in the array with the lower :meth:`latency`. That array has
    the difference as its ``yields_after``, and the ``claim`` of the other as its ``claimed``: it issues no
    vector whose bank the other one claimed ``yields_after`` cycles ago, so that the two would read, and
    write, in the same cycle. The other one never waits for it. It cannot starve for ever: programs end,
    so either the other array runs out of vectors, or it waits for a token meanwhile and claims nothing.
    """

    def __init__(self, *, rows: int, columns: int, stream_lanes: int, stationary_lanes: int,
                 vector_lanes: int, vector_words: int, vector_banks: int = 2, vector_latency: int = 2,
                 yields_after: int | None = None):
        for name, value, least in (("stream_lanes", stream_lanes, rows),
                                   ("stationary_lanes", stationary_lanes, columns),
                                   ("vector_lanes", vector_lanes, columns), ("vector_words", vector_words, 2),
                                   ("vector_latency", vector_latency, 1), ("yields_after", yields_after or 0, 0)):
            if value < least:
                raise ValueError(f"ArrayEngine.{name} must be at least {least}, not {value!r}")
        self._rows, self._columns, self._vector_latency = rows, columns, vector_latency
        self._yields_after = yields_after
        self._loader = StationaryLoader(
            rows=rows, columns=columns, lanes=stationary_lanes, latency=OperandMemory.LATENCY)
        self._streamer = Streamer(
            rows=rows, lanes=stream_lanes, latency=OperandMemory.LATENCY, vector_words=vector_words,
            vector_banks=vector_banks, hazard=Accumulator.latency(vector_latency))
        self._array = SystolicArray(rows=rows, columns=columns)
        self._accumulator = Accumulator(columns=columns, lanes=vector_lanes, vector_latency=vector_latency)
        super().__init__({
            **EngineSignature(Engine.ARRAY).members,
            "stream": Out(OperandRead(stream_lanes)), "stationary": Out(OperandRead(stationary_lanes)),
            "accumulator_read": Out(VectorRead(vector_lanes, WORD_BITS)),
            "accumulator_write": Out(VectorWrite(vector_lanes, WORD_BITS)),
            "claim": Out(claim_layout(vector_banks)),
            **({"claimed": In(claim_layout(vector_banks))} if yields_after is not None else {}),
            "tag": Out(Pass), "layer": Out(LAYER_BITS), "macs": Out(16)})

    @staticmethod
    def latency(rows: int, columns: int, vector_latency: int = 2) -> int:
        return (1 + OperandMemory.LATENCY + SystolicArray.latency(rows, columns)
                + Accumulator.latency(vector_latency) - vector_latency)

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader = loader = self._loader
        m.submodules.streamer = streamer = self._streamer
        m.submodules.array = array = self._array
        m.submodules.accumulator = accumulator = self._accumulator
        for port, inner in ((self.stationary, loader.read), (self.stream, streamer.read),
                            (self.accumulator_read, accumulator.read), (self.accumulator_write, accumulator.write)):
            wiring.connect(m, wiring.flipped(port), inner)
        m.d.comb += [
            loader.swap.eq(streamer.swap), loader.release.eq(streamer.release),
            streamer.tiles.eq(loader.tiles), streamer.ready.eq(loader.ready), streamer.complete.eq(loader.complete),
            streamer.final.eq(loader.final),
            array.weights.eq(loader.weights), array.load.eq(loader.load),
            array.operands.eq(streamer.operands), array.swap.eq(streamer.start),
            accumulator.sums.eq(array.sums), self.claim.eq(streamer.claim),
            self.tag.eq(streamer.tag), self.layer.eq(streamer.layer), self.macs.eq(streamer.macs),
        ]
        if self._yields_after is not None:
            m.d.comb += streamer.claimed.eq(delayed(
                m, self.claimed.as_value(), self._yields_after, "claimed_late", reset_less=False))
        self._dispatch(m, loader, streamer)
        self._await_sums(m, streamer, accumulator)
        return m

    def _dispatch(self, m, loader, streamer):
        """An instruction goes to the loader first, then to the streamer, and is then consumed."""
        order = data.View(instruction_layout(Opcode.ARRAY), self.instruction.payload)
        loading, waiting = Signal(), self.instruction.valid
        pending = Signal(16)
        m.d.comb += [
            loader.instruction.eq(order), streamer.instruction.eq(order),
            loader.offered.eq(waiting & ~loading), streamer.offered.eq(waiting & loading),
            self.instruction.ready.eq(streamer.take),
            self.done.eq(self._accumulator.done),
            self.busy.eq(loading | pending.any()),
            self.quiet.eq(1),
        ]
        m.d.sync += [
            loading.eq(loading & ~streamer.take | loader.take),
            pending.eq(pending + streamer.take - self.done),
        ]

    def _await_sums(self, m, streamer, accumulator):
        """Destinations meet their sums ``vector_latency`` cycles early, to read the old values."""
        cycles = OperandMemory.LATENCY + SystolicArray.latency(self._rows, self._columns) - self._vector_latency
        m.submodules.destinations = line = DelayLine(destination_layout().size, cycles)
        m.d.comb += [
            line.i.eq(streamer.destination),
            accumulator.destination.eq(line.o),
            accumulator.valid.eq(delayed(m, streamer.valid, cycles, "valid_late", reset_less=False)),
        ]
