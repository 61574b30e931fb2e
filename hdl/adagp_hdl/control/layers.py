"""Counters per layer, in a block of memory."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.attributes import UNCHECKED

LAYER_BITS = 8

_TOTAL = 65  # low half, its carry, high half without that carry: no adder is longer than 32 bits
_COLLECTED = 16  # cycles after which they go to memory


class LayerCounters(wiring.Component):
    """64-bit counters of cycles and of multiply-accumulates for 256 layers.

    In a cycle with ``running`` one cycle and ``macs`` (at most ``most_macs``) are booked on ``layer``.
    ``clear``, and a reset, set all to zero; it lasts 256 cycles, in which ``ready`` is low, every counter
    reads 0, and ``running`` must be low. ``read`` is held with ``shown``, the layer, and ``of_macs`` until
    ``valid``, which waits for a cycle in which the layer does not change, and the shown one is not written. ``value`` is whole when ``running``
    has been low for three cycles; before that the last 20 cycles may be missing.
    """

    def __init__(self, *, most_macs: int):
        super().__init__({
            "running": In(1), "layer": In(LAYER_BITS), "macs": In(range(most_macs + 1)), "clear": In(1),
            "ready": Out(1), "read": In(1), "shown": In(LAYER_BITS), "of_macs": In(1),
            "valid": Out(1), "value": Out(64)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=2 * _TOTAL, depth=1 << LAYER_BITS, init=[], attrs=UNCHECKED)
        old, port = memory.read_port(), memory.write_port()
        sweep = Signal(LAYER_BITS + 1)
        m.d.comb += self.ready.eq(sweep[LAYER_BITS])
        with m.If(~self.ready):
            m.d.sync += sweep.eq(sweep + 1)
        with m.If(self.clear):
            m.d.sync += sweep.eq(0)

        flush, layer, cycles, macs = self._collect(m)
        m.d.comb += old.addr.eq(Mux(flush, layer, self.shown))
        due, due_layer = Signal(), Signal(LAYER_BITS)
        more_cycles, more_macs = Signal.like(cycles), Signal.like(macs)
        m.d.sync += [due.eq(flush), due_layer.eq(layer), more_cycles.eq(cycles), more_macs.eq(macs)]
        m.d.comb += [port.en.eq(due), port.addr.eq(due_layer), port.data.eq(
            Cat(_sum(old.data[:_TOTAL], more_cycles), _sum(old.data[_TOTAL:], more_macs)))]
        with m.If(~self.ready):
            m.d.comb += [port.en.eq(1), port.addr.eq(sweep), port.data.eq(0)]

        answers, swept, written = Signal(), Signal(), Signal()
        m.d.comb += written.eq(due & (due_layer == self.shown))
        m.d.sync += [answers.eq(self.read & ~flush & ~written & ~answers & ~self.valid), self.valid.eq(answers),
                     swept.eq(self.ready)]
        total = Mux(self.of_macs, old.data[_TOTAL:], old.data[:_TOTAL])
        m.d.sync += self.value.eq(Mux(self.ready & swept, Cat(total[:32], (total[33:] + total[32])[:32]), 0))
        return m

    def _collect(self, m: Module):
        """Adds up what comes for one layer. Returns a signal, high when the sums of that layer go to
        memory, which is never so in two consecutive cycles for the same layer, and the sums."""
        layer, macs, running = Signal(LAYER_BITS), Signal.like(self.macs), Signal()
        held_layer, held_cycles = Signal(LAYER_BITS), Signal(range(2 * _COLLECTED))
        held_macs = Signal(len(self.macs) + len(held_cycles))
        flush = Signal()
        ends = ~running | (layer != held_layer)
        about_to_end = ~self.running | (self.layer != layer)
        m.d.sync += [layer.eq(self.layer), running.eq(self.running), macs.eq(Mux(self.running, self.macs, 0))]
        m.d.comb += flush.eq((held_cycles != 0) & (ends | (held_cycles >= _COLLECTED) & ~about_to_end))
        with m.If(flush | (held_cycles == 0)):
            m.d.sync += [held_layer.eq(layer), held_cycles.eq(running), held_macs.eq(macs)]
        with m.Else():
            m.d.sync += [held_cycles.eq(held_cycles + 1), held_macs.eq(held_macs + macs)]
        return flush, held_layer, held_cycles, held_macs


def _sum(total: Value, amount: Value) -> Value:
    """``total`` in its three parts, plus ``amount``."""
    return Cat((total[:32] + amount)[:33], (total[33:] + total[32])[:32])
