"""From batch to batch: the place in the epoch, and the base addresses."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .storage import TableSignature, word

BASES = 8

_BASE, _STRIDE, _REWIND = (word(f"{name}[0]") for name in ("BASE", "STRIDE", "REWIND"))
assert all(first % BASES == 0 for first in (_BASE, _STRIDE, _REWIND))


class EpochWalker(wiring.Component):
    """Adds ORDER_STEP to ORDER, modulo EPOCH_BATCHES, then to each base its STRIDE, or its REWIND where
    ORDER went past the end. With EPOCH_BATCHES 0 ORDER stands still and it is always the STRIDE.

    ``start`` is high for one cycle; ``busy`` is high from the next cycle to the last write, 19 cycles.
    ``order``, ``order_step`` and ``epoch_batches`` have been stable for a cycle. It writes ORDER in the
    first cycle of ``busy`` and reads from the second one on.
    """

    start: In(1)
    busy: Out(1)
    order: In(32)
    order_step: In(32)
    epoch_batches: In(32)
    table: Out(TableSignature())

    def elaborate(self, platform):
        m = Module()
        table = self.table
        place, has_epochs = Signal(33), Signal()
        past = Signal()
        base = Signal(range(BASES))
        of_step = Signal()  # the step of this base is read, else the base itself
        read, summand = Signal(32), Signal(32)  # the last two words, of the block memory that is slow to give them
        coming, due = Signal(), Signal()
        coming_base, due_base = Signal(range(BASES)), Signal(range(BASES))
        m.d.sync += [place.eq(self.order + self.order_step), has_epochs.eq(self.epoch_batches != 0),
                     read.eq(table.data), summand.eq(read),
                     coming.eq(of_step & table.read), coming_base.eq(base), due.eq(coming), due_base.eq(coming_base)]
        m.d.comb += table.address.eq(Cat(base, Mux(of_step, Mux(past, _REWIND, _STRIDE), _BASE)[3:]))
        with m.FSM() as machine:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "ORDER"
            with m.State("ORDER"):
                ends = place >= self.epoch_batches
                m.d.comb += [
                    table.write.eq(has_epochs), table.write_address.eq(word("ORDER")),
                    table.write_data.eq(Mux(ends, place - self.epoch_batches, place))]
                m.d.sync += past.eq(has_epochs & ends)
                m.next = "BASES"
            with m.State("BASES"):
                m.d.comb += table.read.eq(1)
                m.d.sync += Cat(of_step, base).eq(Cat(of_step, base) + 1)
                with m.If(of_step & (base == BASES - 1)):
                    m.next = "IDLE"
        with m.If(due):
            m.d.comb += [table.write.eq(1), table.write_address.eq(_BASE | due_base),
                         table.write_data.eq(summand + read)]
        m.d.comb += self.busy.eq(~machine.ongoing("IDLE") | coming | due)
        return m
