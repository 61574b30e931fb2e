"""Contiguous runs of bytes: are they allowed, and into which bursts do they fall?"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.isa import FaultCause

from ..interfaces import ADDRESS_BITS, Fault, Run


def run_bytes(elements: Value, groups: Value, wide: Value) -> Value:
    """Bytes of ``groups`` times ``elements`` elements of 2, or if ``wide`` 4 bytes; 0 stands for 2**32
    and more."""
    total = elements * groups << 1
    total = Mux(wide, total << 1, total)
    return Mux(total[ADDRESS_BITS:].any(), 0, total[:ADDRESS_BITS]) if len(total) > ADDRESS_BITS else total


class WindowCheck(wiring.Component):
    """Passes runs whose first ``extent`` bytes lie in ``window_first`` … ``window_last``.

    A run that does not (an extent of 0 never does) stays, and ``fault`` says WINDOW with its first
    address, until reset. One run per cycle, one cycle.

    With ``local_bytes``, a power of two, runs have a bit ``local``: those must lie in the first so
    many bytes instead.
    """

    def __init__(self, *, local_bytes: int = 0):
        self._local_bytes = local_bytes
        local = {"local": 1} if local_bytes else {}
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"run": Run, "extent": ADDRESS_BITS} | local))),
            "o": Out(stream.Signature(Run)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS), "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        held = Signal()
        checked = Signal(self.i.payload.shape(), reset_less=True)
        run = checked.run
        last = Signal(ADDRESS_BITS + 1)
        legal = Signal()
        inside = (run.address >= self.window_first) & (last <= self.window_last)
        if self._local_bytes:
            inside = Mux(checked.local, last < self._local_bytes, inside)
        m.d.comb += [
            last.eq(run.address + (checked.extent - 1)[:ADDRESS_BITS]),
            legal.eq((checked.extent != 0) & inside),
            self.fault.valid.eq(held & ~legal),
            self.fault.cause.eq(FaultCause.WINDOW),
            self.fault.address.eq(run.address),
            self.o.valid.eq(held & legal),
            self.o.payload.eq(run),
            self.i.ready.eq(~held | self.o.valid & self.o.ready),
        ]
        with m.If(self.i.ready):
            m.d.sync += held.eq(self.i.valid)
            m.d.sync += checked.eq(self.i.payload)
        return m


class BurstSplitter(wiring.Component):
    """Splits runs into bursts that end at multiples of ``beats`` beats of ``beat_bytes`` bytes, so
    they never cross 4 KiB. ``o`` gives the number of the burst's first beat (its address without
    the bits inside a beat), its beats minus one, and whether the run ends with it. One burst per
    cycle, one cycle.
    """

    def __init__(self, *, beat_bytes: int, beats: int):
        self._low = (beat_bytes - 1).bit_length()
        self._block = (beats - 1).bit_length()
        beat = ADDRESS_BITS - self._low
        super().__init__({
            "i": In(stream.Signature(Run)),
            "o": Out(stream.Signature(data.StructLayout({"beat": beat, "more": self._block, "last": 1})))})

    def elaborate(self, platform):
        m = Module()
        block = self._block
        first = Signal(ADDRESS_BITS - self._low, reset_less=True)
        last = Signal.like(first)
        held = Signal()
        ends = Signal()
        m.d.comb += [
            ends.eq(first[block:] == last[block:]),
            self.o.valid.eq(held),
            self.o.payload.beat.eq(first),
            self.o.payload.more.eq(Mux(ends, last[:block], ~Const(0, block)) - first[:block]),
            self.o.payload.last.eq(ends),
            self.i.ready.eq(~held | self.o.ready & ends),
        ]
        with m.If(self.i.ready):
            run = self.i.payload
            m.d.sync += [held.eq(self.i.valid), first.eq(run.address[self._low:]),
                         last.eq((run.address + run.bytes - 1)[self._low:])]
        with m.Elif(self.o.ready):
            m.d.sync += first.eq(Cat(Const(0, block), first[block:] + 1))
        return m
