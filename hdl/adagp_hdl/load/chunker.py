"""Cuts groups and rows into what one write takes."""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Memory

from ..interfaces import memories_of
from .layouts import COUNT_BITS, block_columns, chunk_layout, fetched_layout, group_layout, target_layout


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
        fetched, chunk, target = self.fetched.payload, self.chunk.payload, self.chunk.payload.target
        group, held = Signal(group_layout(self._config), reset_less=True), Signal()
        by_row, go, ends, run_ends = Signal(), Signal(), Signal(), Signal()
        column, row_ready = self._rows(m, by_row & go, ends)
        left, cap = Signal(COUNT_BITS), Signal.like(target.count)
        m.d.comb += [
            by_row.eq(self.fetched.valid & fetched.transpose & ~(held & group.fill)),
            self.chunk.valid.eq(Mux(by_row, row_ready,
                                    held & ~group.transpose & (group.fill | self.fetched.valid))),
            go.eq(self.chunk.valid & self.chunk.ready),
            left.eq(Mux(by_row, fetched.elements - column, group.length)),
            ends.eq(left <= cap), run_ends.eq(ends & (by_row | group.run_last)),
            chunk.fill.eq(~by_row & group.fill), chunk.value.eq(group.value),
            target.block.eq(by_row), target.memory.eq(group.memory),
            target.wide.eq(Mux(by_row, fetched.wide, group.wide)),
            target.position.eq(Mux(by_row, column, group.position)),
            target.count.eq(Mux(ends, left, cap)),
            target.last.eq(ends & Mux(by_row, fetched.block_last, group.last)),
            self.fetched.ready.eq(go & run_ends & ~chunk.fill),
            self.column.valid.eq(held & group.transpose),
            self.column.payload.memory.eq(group.memory), self.column.payload.position.eq(group.position),
            self.column.payload.count.eq(group.length), self.column.payload.last.eq(group.last),
        ]
        self._cap(m, cap, group)
        self._beats(m, go, run_ends)
        m.d.comb += self.group.ready.eq(
            ~held | self.column.valid & self.column.ready | go & ~by_row & ends)
        with m.If(self.group.ready):
            m.d.sync += [held.eq(self.group.valid), group.eq(self.group.payload)]
        with m.Elif(go & ~by_row):
            m.d.sync += [group.position.eq(group.position + target.count), group.length.eq(left - target.count)]
        return m

    def _rows(self, m: Module, row_goes, ends):
        """The next column of the row, and whether there is room for its block."""
        column = Signal(range(block_columns(self._config)))
        row = Signal.like(self.chunk.payload.target.row)
        free, opens = Signal(range(3), init=2), Signal()
        m.d.comb += [opens.eq((row == 0) & (column == 0)), self.chunk.payload.target.row.eq(row)]
        with m.If(row_goes):
            m.d.sync += column.eq(Mux(ends, 0, column + self.chunk.payload.target.count))
            with m.If(ends):
                m.d.sync += row.eq(Mux(self.fetched.payload.block_last, 0, row + 1))
        m.d.sync += free.eq(free + self.freed - (row_goes & opens))
        return column, ~opens | (free != 0)

    def _cap(self, m: Module, cap, group):
        """Most elements of the next chunk."""
        config, target = self._config, self.chunk.payload.target
        lanes = config.vector_lanes
        lanes_of = Array(memories_of(config).values())
        most, room = Signal.like(cap), Signal.like(cap)
        m.d.comb += [
            most.eq(Mux(self.chunk.payload.fill, lanes_of[group.memory],
                        Mux(target.wide, config.bus_operands // 2, config.bus_operands))),
            room.eq(lanes - group.position[:(lanes - 1).bit_length()]),
            cap.eq(Mux(~target.block & (group.memory == Memory.VECTOR) & (room < most), room, most)),
        ]

    def _beats(self, m: Module, go, run_ends):
        """Where in the beats the elements of the chunk lie."""
        chunk, target, fetched = self.chunk.payload, self.chunk.payload.target, self.fetched.payload
        operands = self._config.bus_operands
        inside, offset = Signal(), Signal.like(chunk.phase)
        end, lane = Signal(range(2 * operands + 1)), Signal.like(chunk.phase)
        m.d.comb += [
            chunk.phase.eq(Mux(inside, offset, fetched.phase)),
            end.eq(chunk.phase + Mux(target.wide, target.count << 1, target.count)),
            chunk.crosses.eq(end > operands),
            chunk.drops.eq((end >= operands) | run_ends),
            lane.eq(Mux(target.block, target.row + target.position,
                        Mux(target.memory == Memory.VECTOR, target.position, 0))),
            chunk.rotate.eq(chunk.phase - Mux(target.wide, lane << 1, lane)),
        ]
        with m.If(chunk.crosses & run_ends):
            m.d.comb += chunk.drops.eq(2)
        with m.If(go & ~chunk.fill):
            m.d.sync += [inside.eq(~run_ends), offset.eq(end)]
