"""Runs batches: chooses the program of each one and advances the base addresses."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.schedule import Phase

from ..interfaces import ADDRESS_BITS

#: Where a program lies: address and bytes of the registers PROGRAM[phase].
Program = data.StructLayout({"address": ADDRESS_BITS, "bytes": ADDRESS_BITS})

BASES = 8


class PhaseController(wiring.Component):
    """Runs ``batches`` batches after ``start`` and then raises ``finished`` for one cycle.

    Per batch: the phase is that of :class:`adagp.spec.schedule.Schedule` for batch number ``batch``,
    or EVALUATE with ``evaluate``; its program goes to ``request``; ``batch_done`` ends it. Then
    every base gets its stride added and, without ``evaluate``, the batch number one. The k:m cycle
    is counted from the last write of the batch number (``batch_written``) or a reset. ``running``
    is high from the choice of the phase to the end of the batch, ``phase`` holds the running or
    last one. ``batch_update`` and ``base_update`` are one cycle long, ``batch_next`` and
    ``base_next`` valid with them. Between two batches lie two cycles that belong to none.
    """

    start: In(1)
    finished: Out(1)
    running: Out(1)
    phase: Out(2)
    request: Out(stream.Signature(Program))
    batch_done: In(1)

    batches: In(32)
    evaluate: In(1)
    warmup_batches: In(32)
    gp_batches: In(32)
    bp_batches: In(32)
    batch: In(32)
    batch_written: In(1)
    batch_update: Out(1)
    batch_next: Out(32)
    program: In(Program).array(len(Phase))
    base: In(ADDRESS_BITS).array(BASES)
    stride: In(ADDRESS_BITS).array(BASES)
    base_update: Out(1)
    base_next: Out(ADDRESS_BITS).array(BASES)

    def elaborate(self, platform):
        m = Module()
        remaining = Signal(32)
        position = Signal(33)
        training = Signal()
        follows = Signal(33)
        cycle_ends = Signal()
        m.d.comb += [
            training.eq((self.phase == Phase.GP) | (self.phase == Phase.BP)),
            follows.eq(position + 1),
            cycle_ends.eq(follows >= self.gp_batches + self.bp_batches),
            self.batch_next.eq(self.batch + 1),
            self.request.payload.as_value().eq(Array(each.as_value() for each in self.program)[self.phase]),
            *(following.eq(base + stride)
              for following, base, stride in zip(self.base_next, self.base, self.stride, strict=True))]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += remaining.eq(self.batches)
                with m.If(self.start):
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.d.sync += remaining.eq(remaining - 1)
                with m.If(remaining == 0):
                    m.d.comb += self.finished.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += self.phase.eq(Phase.BP)
                    with m.If(position < self.gp_batches):
                        m.d.sync += self.phase.eq(Phase.GP)
                    with m.If(self.batch < self.warmup_batches):
                        m.d.sync += self.phase.eq(Phase.WARMUP)
                    with m.If(self.evaluate):
                        m.d.sync += self.phase.eq(Phase.EVALUATE)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [self.running.eq(1), self.request.valid.eq(1)]
                with m.If(self.request.ready):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                with m.If(self.batch_done):
                    m.next = "ADVANCE"
            with m.State("ADVANCE"):
                m.d.comb += [self.base_update.eq(1), self.batch_update.eq(self.phase != Phase.EVALUATE)]
                with m.If(training):
                    m.d.sync += position.eq(follows)
                    with m.If(cycle_ends):
                        m.d.sync += position.eq(0)
                m.next = "CHOOSE"
        with m.If(self.batch_written):
            m.d.sync += position.eq(0)
        return m
