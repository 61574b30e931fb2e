"""Cuts groups and rows into what one write takes."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Memory

from ..interfaces import memories_of
from .layouts import block_columns, chunk_layout, count_bits, fetched_layout, group_layout, target_layout


class Chunker(wiring.Component):
    """Makes one chunk per cycle, of a group or, in a transposed load, of a fetched row.

    A chunk has at most the elements of a beat; it writes at most one word of the vector memory. A
    fill chunk has as many elements as the memory has lanes. Groups of transposed loads, one per
    column, leave through ``column`` instead. Rows run ahead of their columns by two blocks;
    ``freed`` tells that one has been written.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "group": In(stream.Signature(group_layout(config))), "fetched": In(stream.Signature(fetched_layout(config))),
            "freed": In(1),
            "chunk": Out(stream.Signature(chunk_layout(config))),
            "column": Out(stream.Signature(target_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        chunk, target, operands = self.chunk.payload, self.chunk.payload.target, self._config.bus_operands
        group, held = Signal(group_layout(self._config), reset_less=True), Signal()
        run, fetched = Signal(fetched_layout(self._config), reset_less=True), Signal()  # what is left of a row
        cap, row_cap = Signal.like(target.count, reset_less=True), Mux(run.wide, operands // 2, operands)
        row_bits = (operands - 1).bit_length()
        by_row, of_group, go, ends, run_ends = Signal(), Signal(), Signal(), Signal(), Signal()
        group_ends, row_ends = Signal(reset_less=True), Signal()
        group_moves, group_done = Signal(), Signal()  # the next chunk of it or the next group; the latter
        column, row_ready = self._rows(m, by_row & go, ends, run.block_last)
        m.d.comb += [
            by_row.eq(fetched & run.transpose & ~(held & group.fill)),
            of_group.eq(~by_row & held & ~group.transpose & (group.fill | fetched)),
            self.chunk.valid.eq(by_row & row_ready | of_group),
            go.eq(self.chunk.valid & self.chunk.ready),
            row_ends.eq(~run.more[row_bits:].any() & ~(run.wide & run.more[row_bits - 1])),
            ends.eq(Mux(by_row, row_ends, group_ends)), run_ends.eq(ends & (by_row | group.run_last)),
            chunk.fill.eq(~by_row & group.fill), chunk.value.eq(group.value),
            target.block.eq(by_row), target.memory.eq(group.memory),
            target.wide.eq(Mux(by_row, run.wide, group.wide)),
            target.position.eq(Mux(by_row, column, group.position)),
            target.count.eq(Mux(by_row, Mux(row_ends, run.more + 1, row_cap), Mux(group_ends, group.length, cap))),
            target.last.eq(ends & Mux(by_row, run.block_last, group.last)),
            self.fetched.ready.eq(~fetched | go & run_ends & ~chunk.fill),
            self.column.valid.eq(held & group.transpose),
            self.column.payload.memory.eq(group.memory), self.column.payload.position.eq(group.position),
            self.column.payload.count.eq(group.length), self.column.payload.last.eq(group.last),
        ]
        self._beats(m, go, run_ends, run.phase)
        m.d.comb += [
            group_moves.eq(~held | self.column.valid & self.column.ready | of_group & self.chunk.ready),
            group_done.eq(~held | group.transpose | group_ends),
            self.group.ready.eq(group_moves & group_done),
        ]
        with m.If(self.fetched.ready):
            m.d.sync += [fetched.eq(self.fetched.valid), run.eq(self.fetched.payload)]
        with m.Elif(go & by_row):
            m.d.sync += run.more.eq(run.more - row_cap)
        following = Signal(group.shape())
        with m.If(group_done):
            m.d.comb += following.eq(self.group.payload)
        with m.Else():
            m.d.comb += [following.eq(group), following.position.eq(group.position + cap),
                         following.length.eq(group.length - cap)]
        with m.If(group_moves):
            most, all_in = self._cap(following)
            m.d.sync += [held.eq(~group_done | self.group.valid), group.eq(following), cap.eq(most), group_ends.eq(all_in)]
        return m

    def _rows(self, m: Module, row_goes, ends, block_last):
        """The next column of the row, and whether there is room for its block."""
        column = Signal(range(block_columns(self._config)))
        row = Signal.like(self.chunk.payload.target.row)
        free, opens = Signal(range(3), init=2), Signal()
        m.d.comb += [opens.eq((row == 0) & (column == 0)), self.chunk.payload.target.row.eq(row)]
        with m.If(row_goes):
            m.d.sync += column.eq(Mux(ends, 0, column + self.chunk.payload.target.count))
            with m.If(ends):
                m.d.sync += row.eq(Mux(block_last, 0, row + 1))
        m.d.sync += free.eq(free + self.freed - (row_goes & opens))
        return column, ~opens | (free != 0)

    def _cap(self, group):
        """Most elements of the first chunk of ``group``, and whether they are all of it."""
        config = self._config
        lanes = config.vector_lanes
        most = Mux(group.fill, Array(memories_of(config).values())[group.memory],
                   Mux(group.wide, config.bus_operands // 2, config.bus_operands))
        room = lanes - group.position[:(lanes - 1).bit_length()]
        in_word, bits = group.memory == Memory.VECTOR, count_bits(config)
        few = group.length[:bits]
        all_in = ~group.length[bits:].any() & (few <= most) & (~in_word | (few <= room))
        return Mux(in_word & (room < most), room, most), all_in

    def _beats(self, m: Module, go, run_ends, phase):
        """Where in the beats the elements of the chunk lie."""
        chunk, target = self.chunk.payload, self.chunk.payload.target
        operands = self._config.bus_operands
        inside, offset = Signal(), Signal.like(chunk.phase)
        end, lane = Signal(range(2 * operands + 1)), Signal.like(chunk.phase)
        m.d.comb += [
            chunk.phase.eq(Mux(inside, offset, phase)),
            end.eq(chunk.phase + Mux(target.wide, target.count << 1, target.count)),
            chunk.crosses.eq(end > operands),
            chunk.drops.eq((end >= operands) | run_ends),
            lane.eq(Mux(target.block, target.row + target.position, target.position)),
            chunk.rotate.eq(chunk.phase - Mux(target.wide, lane << 1, lane)),
        ]
        with m.If(chunk.crosses & run_ends):
            m.d.comb += chunk.drops.eq(2)
        with m.If(go & ~chunk.fill):
            m.d.sync += [inside.eq(~run_ends), offset.eq(end)]
