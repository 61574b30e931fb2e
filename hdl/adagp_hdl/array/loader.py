"""The stationary side of an ``Array`` instruction."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import Opcode

from ..interfaces import SCRATCHPAD_ADDRESS_BITS, OperandRead, instruction_layout
from .delay import delayed
from .loops import AddressNest, LoopNest
from .tile import Following, tile_layout


class StationaryLoader(wiring.Component):
    """Loads the weights of one tile after the other, one row per cycle.

    ``take`` is high when the ``offered`` instruction is taken. A tile starts once ``swap`` has told
    that the streamer began the tile before, and then goes on without a pause. Two tiles are
    described in ``tiles``, in turn; tile t may start in the cycle in which ``ready[t]`` is first
    high, its description is complete when ``complete[t]`` is high, and it is the last of its instruction when
    ``final[t]`` is high too; ``release`` clears all three.

    ``weights`` and ``load`` follow the read by ``latency`` cycles and go to the array.
    """

    def __init__(self, *, rows: int, columns: int, lanes: int, latency: int):
        self._rows, self._columns, self._latency = rows, columns, latency
        super().__init__({
            "instruction": In(instruction_layout(Opcode.ARRAY)), "offered": In(1), "take": Out(1),
            "swap": In(1), "release": In(2),
            "tiles": Out(data.ArrayLayout(tile_layout(rows), 2)), "ready": Out(2), "complete": Out(2), "final": Out(2),
            "read": Out(OperandRead(lanes)),
            "weights": Out(data.ArrayLayout(16, columns)), "load": Out(rows)})

    def elaborate(self, platform):
        m = Module()
        issue, first, last = Signal(), Signal(), Signal()
        inside, end = Signal(), Signal()
        running, free, exhausted = Signal(), Signal(init=1), Signal()
        row = Signal(self._rows, init=1)
        m.d.comb += [
            first.eq(row[0]),
            last.eq(row[-1]),
            issue.eq(running & (free | ~first)),
            inside.eq(~exhausted),
            self.take.eq(self.offered & (~running | last & end)),  # the last row never waits
        ]
        with m.If(issue):
            m.d.sync += row.eq(row.rotate_left(1))
        with m.If(self.swap):
            m.d.sync += free.eq(1)
        with m.Elif(issue & first):
            m.d.sync += free.eq(0)
        with m.If(self.take):
            m.d.sync += running.eq(1)
        with m.Elif(last & end):
            m.d.sync += running.eq(0)
        following, done = self._walk(m, issue, last, inside, end)
        with m.If(issue):
            m.d.sync += exhausted.eq(~last & done)
        columns = Signal(8)
        with m.If(self.take):
            m.d.sync += columns.eq(self.instruction.columns)
        self._describe(m, issue, row, inside, columns, done, following)
        self._deliver(m, issue, row, inside, columns)
        return m

    def _walk(self, m, issue, last, inside, end):
        """Steps rows and outer loops; returns what follows the tile, and whether no row is left. ``end``: of the last tile."""
        order = self.instruction
        m.submodules.row_loops = rows = LoopNest()
        m.submodules.outer_loops = outer = LoopNest()
        m.submodules.addresses = addresses = AddressNest(5, SCRATCHPAD_ADDRESS_BITS)
        step = Signal()
        rows_end, done = Signal(), Signal()
        m.d.comb += [
            step.eq(issue & inside),
            rows_end.eq(rows.wraps[2]),
            done.eq(~inside | rows_end), end.eq(done & outer.wraps[1]),
            rows.load.eq(self.take),
            rows.counts.eq(Cat(order.row_count0, order.row_count1, order.row_count2)),
            rows.step.eq(step),
            outer.load.eq(self.take),
            outer.counts.eq(Cat(order.outer_count0, order.outer_count1, Const(1, 16))),
            outer.step.eq(issue & last & done),
            addresses.load.eq(self.take),
            addresses.base.eq(order.stationary),
            addresses.strides.eq(Cat(order.row_stride0, order.row_stride1, order.row_stride2,
                                     order.stationary_outer_stride0, order.stationary_outer_stride1)),
            addresses.step.eq(step),
            addresses.wraps.eq(Cat(rows.wraps, rows_end & outer.wraps[0])),
            self.read.address.eq(addresses.address),
            self.read.enable.eq(step),
        ]
        following = Signal(Following)
        with m.If(~done):
            m.d.comb += following.eq(Following.CHUNK)
        with m.Elif(~outer.wraps[0]):
            m.d.comb += following.eq(Following.OUTER0)
        with m.Elif(~outer.wraps[1]):
            m.d.comb += following.eq(Following.OUTER1)
        with m.Else():
            m.d.comb += following.eq(Following.END)
        return following, done

    def _describe(self, m, issue, row, inside, columns, done, following):
        slot = Signal()
        m.d.sync += [flags.eq(flags & ~self.release) for flags in (self.ready, self.complete, self.final)]
        for t, tile in enumerate((self.tiles[0], self.tiles[1])):
            with m.If(issue & (slot == t)):
                with m.If(inside):
                    m.d.sync += [
                        tile.active.eq(row | tile.active & ~row[0].replicate(self._rows)),
                        tile.macs.eq((tile.macs & ~row[0].replicate(16)) + columns)]
                with m.If(row[-2]):
                    m.d.sync += self.ready[t].eq(1)
                with m.If(row[-1]):
                    m.d.sync += [tile.following.eq(following), self.complete[t].eq(1),
                                 self.final[t].eq(following == Following.END)]
        with m.If(issue & row[-1]):
            m.d.sync += slot.eq(~slot)

    def _deliver(self, m, issue, row, inside, columns):
        """Zeros for rows and columns that do not exist."""
        latency = self._latency
        width = delayed(m, columns & inside.replicate(8), latency, "columns_late")
        m.d.comb += self.load.eq(delayed(m, row & issue.replicate(self._rows), latency, "load_late", reset_less=False))
        for c in range(self._columns):
            m.d.comb += self.weights[c].eq(self.read.data[c] & (width > c).replicate(16))
