"""The streaming side of an ``Array`` instruction."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import Opcode, Pass

from ..bus.fifo import Elastic
from ..interfaces import SCRATCHPAD_ADDRESS_BITS, OperandRead, instruction_layout
from .delay import delayed
from .loops import AddressNest, LoopNest
from .tile import Following, tile_layout

WORD_BITS = 16
"""Width of the word address of an accumulator."""

LAYER_BITS = 8


def destination_layout() -> data.StructLayout:
    """Where the sums of a vector go. ``fresh``: they overwrite. ``last``: the instruction ends here."""
    return data.StructLayout({"word": WORD_BITS, "fresh": 1, "last": 1})


def claim_layout(vector_banks: int) -> data.StructLayout:
    """The bank of the vector memory in which the sums of a vector go."""
    return data.StructLayout({"valid": 1, "bank": (vector_banks - 1).bit_length()})


class Streamer(wiring.Component):
    """Streams vectors through the tiles that a :class:`StationaryLoader` prepares, one per cycle.

    ``take`` is high when the ``offered`` instruction is taken. ``swap`` is high when the first vector of a tile is
    issued, ``release`` when its last one is next: addresses are walked one vector ahead of what waits. A vector
    waits while the accumulator that it adds to belongs to a vector of the ``hazard`` cycles before, which has not
    been written then. It also waits while another array has ``claimed`` the bank of its accumulator; ``claim`` is
    its own in the cycle in which it is issued.

    A vector appears at ``valid`` with its ``destination`` one cycle after it was issued; that is when
    its operands are read. ``operands`` and ``start`` (first of a tile) follow ``latency`` cycles later and
    go to the array. ``tag``, ``layer`` and ``macs`` book it one cycle after ``valid``; the first two keep
    their values.
    """

    def __init__(self, *, rows: int, lanes: int, latency: int, vector_words: int, vector_banks: int, hazard: int):
        self._rows, self._latency, self._hazard = rows, latency, hazard
        self._word_bits = (vector_words - 1).bit_length()
        self._vector = data.StructLayout({
            "address": SCRATCHPAD_ADDRESS_BITS, "word": WORD_BITS, "fresh": 1, "last": 1, "end": 1,
            "tag": Pass, "layer": LAYER_BITS})
        super().__init__({
            "instruction": In(instruction_layout(Opcode.ARRAY)), "offered": In(1), "take": Out(1),
            "tiles": In(data.ArrayLayout(tile_layout(rows), 2)), "ready": In(2), "complete": In(2), "final": In(2),
            "swap": Out(1), "release": Out(2), "read": Out(OperandRead(lanes)),
            "operands": Out(data.ArrayLayout(16, rows)), "start": Out(1),
            "valid": Out(1), "destination": Out(destination_layout()),
            "claim": Out(claim_layout(vector_banks)), "claimed": In(claim_layout(vector_banks)),
            "tag": Out(Pass), "layer": Out(LAYER_BITS), "macs": Out(16)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.vectors = vectors = Elastic(self._vector)
        self._walk(m, vectors.i)
        self._issue(m, vectors.o)
        return m

    def _walk(self, m, vectors):
        """Offers one vector after the other as soon as its tile is there, and goes on to the next when it is taken."""
        vector, slot, step, leave = vectors.payload, Signal(), Signal(), Signal()
        running, tag, layer = Signal(), Signal(Pass), Signal(LAYER_BITS)
        following = Signal(Following)
        m.submodules.loops = loops = LoopNest()
        last = loops.wraps[2]
        word, address, fresh = self._addresses(m, loops, step, following)
        ready, complete, final = (Mux(slot, flags[1], flags[0]) for flags in (self.ready, self.complete, self.final))
        m.d.comb += [
            following.eq(Mux(slot, self.tiles[1].following, self.tiles[0].following)),
            vectors.valid.eq(running & ready & (complete | ~last)),
            step.eq(vectors.valid & vectors.ready),
            leave.eq(running & vectors.ready & last & final),
            self.take.eq(self.offered & (~running | leave)),
            self.release.eq(Cat(step & last & ~slot, step & last & slot)),
            vector.address.eq(address), vector.word.eq(word), vector.fresh.eq(fresh),
            vector.last.eq(last), vector.end.eq(final),
            vector.tag.eq(tag), vector.layer.eq(layer),
        ]
        with m.If(self.take):
            m.d.sync += [running.eq(1), tag.eq(self.instruction.tag), layer.eq(self.instruction.layer)]
        with m.Elif(leave):
            m.d.sync += running.eq(0)
        with m.If(step & last):
            m.d.sync += slot.eq(~slot)

    def _issue(self, m, vectors):
        """Issues each vector when its accumulator is free."""
        vector, slot, first, issue = vectors.payload, Signal(), Signal(init=1), Signal()
        bank = vector.word[self._word_bits - len(self.claim.bank):self._word_bits]
        wait = self._hazards(m, issue, vector) | self.claimed.valid & (self.claimed.bank == bank)
        m.d.comb += [
            issue.eq(vectors.valid & ~wait), vectors.ready.eq(~wait),
            self.claim.valid.eq(issue), self.claim.bank.eq(bank),
            self.swap.eq(issue & first),
        ]
        with m.If(issue):
            m.d.sync += first.eq(vector.last)
        with m.If(issue & vector.last):
            m.d.sync += slot.eq(~slot)
        m.d.sync += [
            self.valid.eq(issue),
            self.destination.word.eq(vector.word), self.destination.fresh.eq(vector.fresh),
            self.destination.last.eq(issue & vector.last & vector.end),
            self.read.enable.eq(issue), self.read.address.eq(vector.address)]
        self._deliver(m, vector, issue, slot)

    def _addresses(self, m, loops, step, following):
        """Of the vector and its accumulator, and whether that is overwritten."""
        order = self.instruction
        m.submodules.addresses = addresses = AddressNest(6, SCRATCHPAD_ADDRESS_BITS)
        m.submodules.words = words = AddressNest(4, WORD_BITS)
        wraps = loops.wraps
        tiles = [following == kind for kind in (Following.CHUNK, Following.OUTER0, Following.OUTER1)]
        # past the last tile nobody looks at the address
        outer = Cat(wraps[2] & ~tiles[0], wraps[2] & ~tiles[0] & ~tiles[1])
        m.d.comb += [
            loops.load.eq(self.take),
            loops.counts.eq(Cat(order.stream_count0, order.stream_count1, order.stream_count2)),
            loops.step.eq(step),
            addresses.load.eq(self.take),
            addresses.base.eq(order.stream),
            addresses.strides.eq(Cat(
                order.stream_stride0, order.stream_stride1, order.stream_stride2, order.chunk_stride,
                order.stream_outer_stride0, order.stream_outer_stride1)),
            addresses.step.eq(step),
            addresses.wraps.eq(Cat(wraps, outer)),
            words.load.eq(self.take),
            words.base.eq(order.accumulator),
            words.strides.eq(Cat(Const(1, WORD_BITS), Const(0, WORD_BITS),
                                 order.accumulator_outer_stride0, order.accumulator_outer_stride1)),
            words.step.eq(step),
            words.wraps.eq(Cat(wraps[2], outer)),
        ]
        return words.address, addresses.address, self._fresh(m, step & wraps[2], tiles)

    def _fresh(self, m, step, tiles):
        """``again[k]``: loop k (chunks, outer 0, outer 1) makes this a further visit of the words."""
        order = self.instruction
        again = Signal(3)
        moves, overwrite = Signal(2), Signal()
        chunk, outer0, outer1 = tiles
        with m.If(self.take):
            m.d.sync += [
                again.eq(0), overwrite.eq(~order.accumulate),
                moves.eq(Cat(order.accumulator_outer_stride0.any(), order.accumulator_outer_stride1.any()))]
        with m.Elif(step & chunk):
            m.d.sync += again[0].eq(1)
        with m.Elif(step & outer0):
            m.d.sync += again[:2].eq(Cat(Const(0, 1), ~moves[0]))
        with m.Elif(step & outer1):
            m.d.sync += again.eq(Cat(Const(0, 2), ~moves[1]))
        return overwrite & ~again.any()

    def _hazards(self, m, issue, vector):
        """Whether the accumulator of ``vector`` is still on its way to memory from an earlier vector."""
        word = vector.word[:self._word_bits]
        words = [Signal(self._word_bits, name=f"recent{i}", reset_less=True) for i in range(self._hazard)]
        valid = Signal(self._hazard)
        m.d.sync += [valid.eq(Cat(issue, valid)), *(new.eq(old) for new, old in zip(words, [word, *words]))]
        return ~vector.fresh & Cat(flag & (old == word) for flag, old in zip(valid, words)).any()

    def _deliver(self, m, vector, issue, slot):
        rows, latency = self._rows, self._latency
        late_slot, first = Signal(), Signal()
        tile = self.tiles[late_slot]
        m.d.sync += [late_slot.eq(slot), first.eq(self.swap), self.macs.eq(Mux(self.valid, tile.macs, 0))]
        for out, field in ((self.tag, vector.tag), (self.layer, vector.layer)):
            booked = Signal.like(out, name="booked")
            with m.If(issue):
                m.d.sync += booked.eq(field)
            m.d.sync += out.eq(booked)
        mask = delayed(m, tile.active & self.valid.replicate(rows), latency, "active_late")
        m.d.comb += self.start.eq(delayed(m, first, latency, "start_late", reset_less=False))
        for r in range(rows):
            m.d.comb += self.operands[r].eq(self.read.data[r] & mask[r].replicate(16))
