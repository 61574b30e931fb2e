"""The place in the schedule, and the k that follows the quality of the predictions."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.registers import REGISTERS
from adagp.spec.schedule import ROWS

from .layout import layout

BOUNDS = layout(REGISTERS["ADAPTIVE.BOUNDS"])
RATIO = layout(REGISTERS["SCHEDULE[0].RATIO"])
PATIENCE_BITS = REGISTERS["ADAPTIVE.PATIENCE"].fields[0].width

_INFINITY = 0x7F800000


class AdaptiveRule(wiring.Component):
    """k, moved by one where the quality asks for it: :class:`adagp.spec.schedule.Adaptive`.

    The inputs are registers of the same names. ``judge`` is high for one cycle at the end of a Phase
    BP; it sees a ``quality`` and thresholds that have been stable for a cycle. ``restart`` forgets. ``k`` follows a
    cycle after what it depends on.
    """

    quality: In(32)
    raise_at: In(32)
    lower_at: In(32)
    patience: In(PATIENCE_BITS)
    bounds: In(BOUNDS)
    judge: In(1)
    restart: In(1)
    k: Out(16)

    def elaborate(self, platform):
        m = Module()
        adapted = Signal(16)
        streak = Signal(PATIENCE_BITS)  # counts in a row for one side
        streak_up = Signal()
        up, down = Signal(), Signal()
        count = Signal(PATIENCE_BITS)
        least = Signal(16)
        m.d.comb += [
            least.eq(Mux(adapted < self.bounds.least, self.bounds.least, adapted)),
            count.eq(Mux(streak_up == up, streak, 0) + 1)]
        quality, no_number = _ordered(self.quality), self.quality[:31] > _INFINITY
        enough = quality >= _ordered(self.raise_at)
        m.d.sync += [self.k.eq(Mux(least > self.bounds.most, self.bounds.most, least)), up.eq(enough & ~no_number),
                     down.eq(~enough & (quality < _ordered(self.lower_at)) | no_number)]
        with m.If(self.judge):
            m.d.sync += streak.eq(0)
            with m.If(up | down):
                with m.If(count < self.patience):
                    m.d.sync += [streak.eq(count), streak_up.eq(up)]
                with m.Elif(up & (self.k != 0xFFFF)):
                    m.d.sync += adapted.eq(self.k + 1)
                with m.Elif(down & (self.k != 0)):
                    m.d.sync += adapted.eq(self.k - 1)
                with m.Else():
                    m.d.sync += adapted.eq(self.k)
        with m.If(self.restart):
            m.d.sync += [adapted.eq(0), streak.eq(0)]
        return m


class ScheduleFollower(wiring.Component):
    """The place in the table of rows: :class:`adagp.spec.schedule.PhaseCounter` without warm-up.

    ``ratio`` is the register SCHEDULE[``row``].RATIO, and with ``complete`` ``row_batches`` SCHEDULE[``row``].BATCHES.
    ``complete`` is high for one cycle at the end of a batch of Phase GP or BP. ``k`` is that of the
    running cycle, ``predicts`` says that the next batch belongs to Phase GP. ``complete`` and ``predicts``
    see registers that have been stable for three cycles. ``restart`` begins the schedule anew.
    """

    complete: In(1)
    restart: In(1)
    row: Out(range(ROWS))
    ratio: In(RATIO)
    row_batches: In(32)
    adaptive: In(1)
    quality: In(32)
    raise_at: In(32)
    lower_at: In(32)
    patience: In(PATIENCE_BITS)
    bounds: In(BOUNDS)
    k: Out(16)
    predicts: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.rule = rule = AdaptiveRule()
        cycle = Signal(17)  # batches of the running cycle
        position = Signal(17)
        follows = Signal(18)
        completed = Signal(32)  # batches of this row
        in_row = Signal(33)
        m.d.comb += [
            *(getattr(rule, name).eq(getattr(self, name)) for name in (
                "quality", "raise_at", "lower_at", "patience", "bounds", "restart")),
            self.k.eq(Mux(self.adaptive, rule.k, self.ratio.gp)),
            follows.eq(position + 1), in_row.eq(completed + 1)]
        m.d.sync += [cycle.eq(self.k + self.ratio.bp), self.predicts.eq(position < self.k)]
        with m.If(self.complete):
            m.d.sync += [position.eq(follows), completed.eq(in_row)]
            with m.If(follows >= cycle):
                m.d.comb += rule.judge.eq(self.adaptive)
                m.d.sync += position.eq(0)
            with m.If((self.row != ROWS - 1) & (in_row == self.row_batches)):
                m.d.sync += [self.row.eq(self.row + 1), position.eq(0), completed.eq(0)]
        with m.If(self.restart):
            m.d.sync += [self.row.eq(0), position.eq(0), completed.eq(0)]
        return m


def _ordered(bits: Signal) -> Value:
    """An unsigned number in the order of the float32 with these bits, -0 below +0."""
    return Mux(bits[31], ~bits, bits | Const(1 << 31, 32))
