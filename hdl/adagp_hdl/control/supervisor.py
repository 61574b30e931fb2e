"""Start, end, faults and reset of the machine, and its interrupt."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.registers import REGISTERS

from ..interfaces import ADDRESS_BITS, Fault
from .layout import layout


class Supervisor(wiring.Component):
    """Decides whether the machine runs, drains, or has stopped.

    ``start`` (unless busy or faulted) gives ``go`` in the next cycle; ``finished`` ends the run:
    STATUS.done and the done interrupt. The first valid one of ``faults``, lowest index first, stops
    it: ``halt`` rises two cycles later, and when all of ``quiet`` are high come STATUS.fault and
    the fault interrupt; ``halt`` stays until a reset. ``reset`` at any time halts, waits for
    ``quiet``, and gives one cycle of ``clear``, which brings everything that it reaches to its reset
    state and with it STATUS, the fault registers and pending interrupts.
    ``idle`` allows to clear the counters. ``quiet`` counts from the second cycle of ``halt``.
    """

    def __init__(self, *, faults: int, quiet: int):
        super().__init__({
            "start": In(1), "reset": In(1), "go": Out(1), "finished": In(1), "phase": In(3),
            "faults": In(Fault).array(faults), "quiet": In(1).array(quiet),
            "halt": Out(1), "clear": Out(1), "idle": Out(1),
            "status": Out(layout(REGISTERS["STATUS"])), "fault_cause": Out(32), "fault_address": Out(ADDRESS_BITS),
            "interrupt_enable": In(layout(REGISTERS["INTERRUPT_ENABLE"])),
            "interrupt_pending": In(layout(REGISTERS["INTERRUPT_PENDING"])),
            "interrupt_pending_set": Out(layout(REGISTERS["INTERRUPT_PENDING"])), "irq": Out(1)})

    def elaborate(self, platform):
        m = Module()
        first, fault = Signal(Fault), Signal(Fault)  # now, and a cycle ago: faults are found at the end of long paths
        quiet = Signal()
        halted = Signal()
        m.d.comb += quiet.eq(Cat(self.quiet).all() & halted)
        for each in reversed(self.faults):
            with m.If(each.valid):
                m.d.comb += first.eq(each)
        any_fault = fault.valid
        m.d.sync += [fault.eq(first), fault.valid.eq(first.valid & ~self.clear), halted.eq(self.halt), self.irq.eq(
            (self.interrupt_pending.as_value() & self.interrupt_enable.as_value()).any())]

        done = Signal()
        with m.FSM() as machine:
            with m.State("READY"):
                m.d.comb += self.go.eq(self.start & ~self.reset & ~any_fault)
                with m.If(self.go):
                    m.d.sync += done.eq(0)
                    m.next = "BUSY"
                self._stop(m, any_fault, fault)
            with m.State("BUSY"):
                with m.If(self.finished):
                    m.d.comb += self.interrupt_pending_set.done.eq(~any_fault)
                    m.d.sync += done.eq(~any_fault)
                    m.next = "READY"
                self._stop(m, any_fault, fault)
            with m.State("STOPPING"):
                with m.If(quiet):
                    m.d.comb += self.interrupt_pending_set.fault.eq(1)
                    m.next = "FAULTED"
                self._stop(m, 0, fault)
            with m.State("FAULTED"):
                self._stop(m, 0, fault)
            with m.State("RESETTING"):
                with m.If(quiet):
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.comb += self.clear.eq(1)
                m.d.sync += [done.eq(0), self.fault_cause.eq(0), self.fault_address.eq(0)]
                m.next = "READY"
        ready, busy, faulted = (machine.ongoing(state) for state in ("READY", "BUSY", "FAULTED"))
        m.d.comb += [
            self.halt.eq(~ready & ~busy), self.idle.eq(ready | faulted),
            self.status.busy.eq(~ready & ~faulted), self.status.done.eq(done), self.status.fault.eq(faulted),
            self.status.draining.eq(~ready & ~busy & ~faulted), self.status.phase.eq(self.phase)]
        return m

    def _stop(self, m: Module, any_fault, fault):
        """The ways out of a state that a fault and a reset give; the reset wins."""
        with m.If(any_fault):
            m.d.sync += [self.fault_cause.eq(fault.cause), self.fault_address.eq(fault.address)]
            m.next = "STOPPING"
        with m.If(self.reset):
            m.next = "RESETTING"
