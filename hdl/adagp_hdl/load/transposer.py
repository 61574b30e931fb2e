"""Turns rows into columns, block by block."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.attributes import BLOCK

OPERAND_BITS = 16


class Transposer(wiring.Component):
    """Takes blocks of up to ``lanes`` rows by ``columns`` columns in chunks of one row, and offers
    their columns one by one; row i of a column is in lane ``first_lane`` + i modulo ``lanes``.

    A chunk is ``count`` operands of ``row`` from ``column`` on, a multiple of the (fixed) size of
    the chunks of its block, at most ``chunk``. The operand of column c is in all those lanes of
    ``data`` that are row + c modulo the size. ``last`` completes the block; its chunk ends with the
    block's last column.

    There are two blocks: one fills while the other drains. The writer begins no third one before
    ``freed`` has been high for a cycle. One chunk and one column per cycle; the first column is
    offered in the cycle after the last chunk, a cycle later if that has a part of it.
    """

    def __init__(self, *, lanes: int, columns: int, chunk: int):
        for name, value, of in (("lanes", lanes, chunk), ("columns", columns, lanes)):
            if value % of or value & (value - 1):
                raise ValueError(f"Transposer.{name} must be a power of two and a multiple of {of}, not {value!r}")
        self._lanes = lanes
        self._columns = columns
        self._chunk = chunk
        super().__init__({
            "write": In(1), "row": In(range(lanes)), "column": In(range(columns)), "count": In(range(chunk + 1)),
            "last": In(1), "data": In(data.ArrayLayout(OPERAND_BITS, chunk)),
            "freed": Out(1), "first_lane": In(range(lanes)), "o": Out(stream.Signature(data.ArrayLayout(OPERAND_BITS, lanes)))})

    def elaborate(self, platform):
        m = Module()
        filling, draining = Signal(), Signal()
        full = Signal(2)
        last_columns = [Signal(range(self._columns), name=f"last_column{i}", reset_less=True) for i in range(2)]
        column, next_column = Signal(range(self._columns)), Signal(range(self._columns))
        ends, next_draining = Signal(), Signal()
        completes, late = Signal(), Signal()
        m.d.comb += [
            ends.eq(column == Mux(draining, last_columns[1], last_columns[0])),
            self.o.valid.eq(Mux(draining, full[1], full[0]) & ~(late & (draining ^ filling))),
            self.freed.eq(self.o.valid & self.o.ready & ends),
            next_column.eq(Mux(self.o.valid & self.o.ready, Mux(ends, 0, column + 1), column)),
            next_draining.eq(draining ^ self.freed),
            completes.eq(self.write & self.last),
        ]
        m.d.sync += [column.eq(next_column), draining.eq(next_draining), filling.eq(filling ^ completes),
                     late.eq(completes & (self.column == 0))]  # a block's first column was read while it was written
        for i in range(2):
            with m.If(completes & (filling == i)):
                m.d.sync += [full[i].eq(1), last_columns[i].eq(self.column + self.count - 1)]
            with m.Elif(self.freed & (draining == i)):
                m.d.sync += full[i].eq(0)
        self._banks(m, filling, Cat(next_column, next_draining), column)
        return m

    def _banks(self, m: Module, filling, next_place, column):
        """Column c of row r lies in bank r + c, at address c: a chunk and a column touch each bank
        at most once."""
        lane_bits = (self._lanes - 1).bit_length()
        first = Signal(lane_bits + 1)
        m.d.comb += first.eq(self.column[:lane_bits])
        outputs = []
        for b in range(self._lanes):
            bank = Memory(shape=OPERAND_BITS, depth=2 * self._columns, init=[], attrs=BLOCK)
            m.submodules[f"bank{b}"] = bank
            write, read = bank.write_port(), bank.read_port()
            low = Signal(lane_bits, name=f"low{b}")
            m.d.comb += [
                low.eq(b - self.row),
                write.addr.eq(Cat(low, self.column[lane_bits:], filling)),
                write.en.eq(self.write & (low >= first) & (low < first + self.count)),
                write.data.eq(self.data[b % self._chunk]),
                read.addr.eq(next_place),
            ]
            outputs.append(read.data)
        places = Signal(lane_bits)
        m.d.comb += places.eq(column - self.first_lane)
        for step in range(lane_bits):
            stage = [Signal(OPERAND_BITS, name=f"rotated{step}_{i}") for i in range(self._lanes)]
            m.d.comb += [lane.eq(Mux(places[step], outputs[(i + (1 << step)) % self._lanes], outputs[i]))
                         for i, lane in enumerate(stage)]
            outputs = stage
        m.d.comb += [lane.eq(value) for lane, value in zip(self.o.payload, outputs)]
