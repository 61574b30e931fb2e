"""Runs batches: one program after the other, chosen by the schedule."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.schedule import Phase

from ..interfaces import ADDRESS_BITS
from .epoch import EpochWalker
from .schedule import BOUNDS, PATIENCE_BITS, ScheduleFollower
from .storage import TableSignature, word

#: Where a program lies: address and bytes of the registers PROGRAM[phase].
Program = data.StructLayout({"address": ADDRESS_BITS, "bytes": ADDRESS_BITS})

_PROGRAM = word("PROGRAM[0].ADDRESS")
_ROW_BATCHES, _RATIO = word("SCHEDULE[0].BATCHES"), word("SCHEDULE[0].RATIO")


class PhaseController(wiring.Component):
    """Runs ENTER, ``batches`` batches and LEAVE after ``start`` and then raises ``finished`` for one cycle.

    ENTER and LEAVE are left out with ``stay`` or where their program has no bytes. Between batches LEAVE
    also runs once if ``write_back`` was high in a cycle since ``start``. Nothing begins while ``ready`` is low.

    The phase of a batch is EVALUATE with ``evaluate``, else that which
    :class:`adagp.spec.schedule.PhaseCounter` chooses; a write of BATCH by the host (``batch_written``) or a
    reset begins the schedule anew. Its program goes to ``request``; ``batch_done`` ends it. After a
    batch BATCH counts up (without ``evaluate``) and ORDER and the bases move, see :class:`EpochWalker`.

    ``running`` is high from the request to the end of a program, ``phase`` holds the running or last
    one, ``k`` is that of the running cycle. Between two batches lie 27 cycles that belong to none. After
    ``halt`` no program begins; ``quiet`` is high when the registers belong to whole batches.
    """

    start: In(1)
    ready: In(1)
    write_back: In(1)
    halt: In(1)
    quiet: Out(1)
    finished: Out(1)
    running: Out(1)
    phase: Out(Phase)
    request: Out(stream.Signature(Program))
    batch_done: In(1)
    table: Out(TableSignature())

    batches: In(32)
    evaluate: In(1)
    adaptive: In(1)
    stay: In(1)
    warmup_batches: In(32)
    batch: In(32)
    batch_written: In(1)
    epoch_batches: In(32)
    order: In(32)
    order_step: In(32)
    bounds: In(BOUNDS)
    raise_at: In(32)
    lower_at: In(32)
    patience: In(PATIENCE_BITS)
    quality: In(32)
    k: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.schedule = schedule = ScheduleFollower()
        m.submodules.walker = walker = EpochWalker()
        m.d.comb += [
            *(getattr(schedule, name).eq(getattr(self, name)) for name in (
                "adaptive", "bounds", "raise_at", "lower_at", "patience", "quality")),
            schedule.restart.eq(self.batch_written), self.k.eq(schedule.k),
            *(getattr(walker, name).eq(getattr(self, name)) for name in ("order", "order_step", "epoch_batches"))]
        self._share_table(m, schedule, walker)

        remaining = Signal(32)
        chosen = Signal(Phase)  # the program that begins next
        is_batch = Signal()  # not ENTER or LEAVE
        asked = Signal()  # write_back waits for a boundary
        leaving = Signal()  # the last batch is over
        warming = Signal()
        program = Signal(Program)
        m.d.comb += [is_batch.eq((chosen != Phase.ENTER) & (chosen != Phase.LEAVE)),
                     self.request.payload.eq(program)]
        m.d.sync += [warming.eq(self.batch < self.warmup_batches), asked.eq(asked | self.write_back)]
        with m.FSM() as machine:
            with m.State("IDLE"):
                m.d.sync += [remaining.eq(self.batches), asked.eq(0), leaving.eq(0), chosen.eq(Phase.ENTER)]
                with m.If(self.start):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                with m.If(self.ready):
                    m.next = "ADDRESS"
                    with m.If(self.stay):
                        m.next = "BOUNDARY"
            with m.State("BOUNDARY"):
                last = remaining == 0
                with m.If(self.halt):
                    pass
                with m.Elif(last & (leaving | self.stay & ~asked)):
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
                with m.Elif(last | asked):
                    m.d.sync += [chosen.eq(Phase.LEAVE), leaving.eq(last), asked.eq(self.write_back)]
                    m.next = "ADDRESS"
                with m.Else():
                    m.d.sync += [remaining.eq(remaining - 1), chosen.eq(Mux(
                        self.evaluate, Phase.EVALUATE, Mux(
                            warming, Phase.WARMUP, Mux(schedule.predicts, Phase.GP, Phase.BP))))]
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                self._look_up(m, _PROGRAM + 2 * chosen)
                m.next = "SIZE"
            with m.State("SIZE"):
                m.d.sync += program.address.eq(self.table.data)
                self._look_up(m, _PROGRAM + 1 + 2 * chosen)
                m.next = "PROGRAM"
            with m.State("PROGRAM"):
                m.d.sync += program.bytes.eq(self.table.data)
                with m.If(is_batch | self.table.data.any()):
                    m.d.sync += self.phase.eq(chosen)
                    m.next = "REQUEST"
                with m.Else():
                    m.next = "BOUNDARY"
            with m.State("REQUEST"):
                m.d.comb += [self.running.eq(1), self.request.valid.eq(1)]
                with m.If(self.request.ready):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                with m.If(self.batch_done):
                    m.next = "BOUNDARY"
                    with m.If(is_batch):
                        m.next = "BATCH"
            with m.State("BATCH"):
                self._look_up(m, _ROW_BATCHES + 2 * schedule.row)
                m.next = "ROW"
                m.d.comb += [self.table.write.eq(chosen != Phase.EVALUATE),
                             self.table.write_address.eq(word("BATCH")), self.table.write_data.eq(self.batch + 1)]
            with m.State("ROW"):
                m.d.sync += schedule.row_batches.eq(self.table.data)
                m.next = "SCHEDULE"
            with m.State("SCHEDULE"):
                m.d.comb += [walker.start.eq(1), schedule.complete.eq((chosen == Phase.GP) | (chosen == Phase.BP))]
                m.next = "RATIO"
            with m.State("RATIO"):
                m.d.comb += self.table.read.eq(1)
                m.next = "WALK"
            with m.State("WALK"):
                with m.If(~walker.busy):
                    m.next = "BOUNDARY"
        m.d.comb += self.quiet.eq(~Cat(map(machine.ongoing, ("BATCH", "ROW", "SCHEDULE", "RATIO", "WALK"))).any())
        return m

    def _share_table(self, m: Module, schedule: ScheduleFollower, walker: EpochWalker):
        """The walker has the table when it reads or writes; who else looks something up comes later
        and wins. Whenever nobody does, the ratio of the row is read again: it follows its register."""
        table, asked = self.table, Signal()
        ratio = _RATIO + 2 * schedule.row
        m.d.comb += [
            table.address.eq(Mux(walker.table.read, walker.table.address, ratio)), table.read.eq(walker.table.read),
            walker.table.data.eq(table.data), walker.table.valid.eq(table.valid),
            *(getattr(table, name).eq(getattr(walker.table, name)) for name in (
                "write", "write_address", "write_data"))]
        m.d.sync += asked.eq(table.address == ratio)
        with m.If(asked & table.valid):
            m.d.sync += schedule.ratio.eq(table.data)

    def _look_up(self, m: Module, address):
        """The word at ``address`` is in ``table.data`` in the next cycle."""
        m.d.comb += [self.table.read.eq(1), self.table.address.eq(address)]
