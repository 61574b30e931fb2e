"""Reads the elements of groups from the vector memory, at most a beat of them at a time."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig

from ..interfaces import VectorRead
from .groups import StoreGroup


def piece_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Elements for the beats: ``count`` operands' width of them go from operand ``first`` of the
    current beat on to ``end`` (beyond the beat: into the next one). They lie in part ``part`` of the
    word that was read, a part being what fills a beat, and are rotated down by ``rotate`` operands.
    ``emits``: the current beat is complete. ``flush``: it is, and nothing comes new."""
    operands = config.bus_operands
    phase = (operands - 1).bit_length()
    return data.StructLayout({
        "wide": 1, "part": (2 * config.vector_lanes // operands - 1).bit_length(), "first": phase,
        "end": phase + 2, "rotate": phase, "emits": 1, "flush": 1})


class PieceReader(wiring.Component):
    """Makes one piece per cycle. It leaves ``latency`` cycles after its word was requested, together
    with that word: the memory's data must stay until that of the next request.

    A piece is requested only if there is room for two beats, the one that it may complete and the one that the piece before
    it may have: at first for ``beats`` of them; ``freed`` gives room for one more.
    """

    def __init__(self, config: AcceleratorConfig, *, latency: int, beats: int):
        self._config = config
        self._latency = latency
        self._beats = beats
        super().__init__({
            "group": In(stream.Signature(StoreGroup)), "freed": In(1),
            "vector_read": Out(VectorRead(config.vector_lanes)),
            "piece": Out(stream.Signature(piece_layout(config), always_ready=True)),
            "word": Out(data.ArrayLayout(32, config.vector_lanes))})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        operands, lane_bits = config.bus_operands, (config.vector_lanes - 1).bit_length()
        held, flushing = Signal(), Signal()
        group = Signal(StoreGroup, reset_less=True)
        phase = Signal((operands - 1).bit_length(), reset_less=True)
        wants, go, ends = Signal(), Signal(), Signal()
        moves, done = Signal(), Signal()  # the next piece or the next group; the latter
        piece = Signal(piece_layout(config))
        count = self._piece(m, piece, group, phase, ends)
        tail = self._tail(group, phase)
        room, has_room = Signal(range(self._beats + 1), init=self._beats), Signal(init=1)
        next_room, emitted = Signal.like(room), Signal()
        due = Signal()  # the word of the piece must be read
        m.d.comb += [
            piece.flush.eq(flushing),
            wants.eq((held | flushing) & has_room),
            self.vector_read.valid.eq(due & has_room),
            self.vector_read.address.eq(group.source[lane_bits:]),
            go.eq(wants & (~due | self.vector_read.ready)),
            moves.eq(~held & ~flushing | go), done.eq(~held | ends & ~tail), self.group.ready.eq(moves & done),
        ]
        # whether a piece completes a beat is known late, and counted in the cycle after it
        m.d.comb += next_room.eq(room + self.freed - emitted)
        m.d.sync += [emitted.eq(go & piece.emits), room.eq(next_room), has_room.eq(next_room > 1)]
        with m.If(moves):
            next_lane = group.source[:lane_bits] + count
            with m.If(held | flushing):
                m.d.sync += phase.eq(piece.end)
            with m.If(done):
                m.d.sync += [held.eq(self.group.valid), due.eq(self.group.valid), flushing.eq(0), group.eq(self.group.payload)]
                with m.If(self.group.payload.first):
                    m.d.sync += phase.eq(self.group.payload.address[1:])
            with m.Else():
                m.d.sync += [held.eq(~ends), flushing.eq(ends), due.eq(~ends & (next_lane == config.vector_lanes)),
                             group.source.eq(group.source + count), group.length.eq(group.length - count)]
        self._delay(m, go, piece)
        return m

    def _tail(self, group, phase):
        """Whether the piece, if it is the last one of a run, reaches into another beat."""
        operands = self._config.bus_operands
        elements = group.length[:operands.bit_length()]
        return group.last & (phase + Mux(group.wide, elements << 1, elements) > operands)

    def _piece(self, m: Module, piece, group, phase, ends):
        """The next piece of ``group``; returns its elements."""
        operands = self._config.bus_operands
        inside = Signal((operands - 1).bit_length())
        room, count = Signal(range(operands + 1)), Signal(range(operands + 1))
        lane = group.source[:(self._config.vector_lanes - 1).bit_length()]
        wide_bits = len(inside) - 1
        m.d.comb += [
            inside.eq(Mux(group.wide, lane[:wide_bits], lane)),
            room.eq(Mux(group.wide, operands // 2, operands) - inside),
            ends.eq(group.length <= room), count.eq(Mux(ends, group.length, room)),
            piece.wide.eq(group.wide), piece.part.eq(Mux(group.wide, lane[wide_bits:], lane[len(inside):])),
            piece.first.eq(phase), piece.end.eq(phase + Mux(group.wide, count << 1, count)),
            piece.rotate.eq(Mux(group.wide, inside << 1, inside) - phase),
            piece.emits.eq(piece.flush | piece.end[len(phase):].any() | ends & group.last),
        ]
        return count

    def _delay(self, m: Module, go, piece):
        valid = go
        for i in range(self._latency):
            later, later_valid = Signal(piece.shape(), name=f"piece{i}", reset_less=True), Signal(name=f"valid{i}")
            m.d.sync += [later.eq(piece), later_valid.eq(valid)]
            piece, valid = later, later_valid
        m.d.comb += [self.piece.payload.eq(piece), self.piece.valid.eq(valid), self.word.eq(self.vector_read.data)]
