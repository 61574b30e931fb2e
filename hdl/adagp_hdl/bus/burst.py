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


#: A run, and whether it may be touched.
CheckedRun = data.StructLayout({"run": Run, "legal": 1})


class WindowCheck(wiring.Component):
    """Tells of runs whether their first ``extent`` bytes lie in ``window_first`` … ``window_last``.

    One run per cycle, one cycle. From the cycle after the first one that does not (an extent of 0 never does),
    ``fault`` says WINDOW with its first address, until reset, and nothing is passed on any more. That run itself
    may be, so that whether it is legal need not be known before ``o`` is taken.

    With ``local_bytes``, a power of two, runs have a bit ``local``: those must lie in the first so
    many bytes instead.
    """

    def __init__(self, *, local_bytes: int = 0):
        self._local_bytes = local_bytes
        local = {"local": 1} if local_bytes else {}
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"run": Run, "extent": ADDRESS_BITS} | local))),
            "o": Out(stream.Signature(CheckedRun)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS), "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        held = Signal()
        checked = Signal(self.i.payload.shape(), reset_less=True)
        run = checked.run
        end = Signal(ADDRESS_BITS + 1)
        legal = Signal()
        inside = (run.address >= self.window_first) & (end <= self.window_last + 1)
        if self._local_bytes:
            inside = Mux(checked.local, end <= self._local_bytes, inside)
        m.d.comb += [
            end.eq(run.address + checked.extent),
            legal.eq((checked.extent != 0) & inside),
            self.o.valid.eq(held & ~self.fault.valid),
            self.o.payload.run.eq(run), self.o.payload.legal.eq(legal),
            self.i.ready.eq(~held | self.o.valid & self.o.ready),
            self.fault.cause.eq(FaultCause.WINDOW),
        ]
        with m.If(self.o.valid):
            m.d.sync += [self.fault.valid.eq(~legal), self.fault.address.eq(run.address)]
        with m.If(self.i.ready):
            m.d.sync += held.eq(self.i.valid)
            m.d.sync += checked.eq(self.i.payload)
        return m


class BurstSplitter(wiring.Component):
    """Splits runs into bursts that end at multiples of ``beats`` beats of ``beat_bytes`` bytes, so
    they never cross 4 KiB, and drops those that are not legal. ``o`` gives the number of the burst's first beat (its
    address without the bits inside a beat), its beats minus one, and whether the run ends with it. One burst per
    cycle, one cycle.
    """

    def __init__(self, *, beat_bytes: int, beats: int):
        self._low = (beat_bytes - 1).bit_length()
        self._block = (beats - 1).bit_length()
        beat = ADDRESS_BITS - self._low
        super().__init__({
            "i": In(stream.Signature(CheckedRun)),
            "o": Out(stream.Signature(data.StructLayout({"beat": beat, "more": self._block, "last": 1})))})

    def elaborate(self, platform):
        m = Module()
        low, block = self._low, self._block
        run, burst = self.i.payload.run, Signal(self.o.payload.shape(), reset_less=True)
        held = Signal()
        reach = Signal(ADDRESS_BITS)  # of the run's last byte, from the start of the block in which it begins
        whole = Const((1 << block) - 1, block)
        blocks = Signal(ADDRESS_BITS - low - block, reset_less=True)  # to come
        end = Signal(block, reset_less=True)  # last beat of the last block
        m.d.comb += [
            reach.eq(run.address[:low + block] + run.bytes - 1),
            self.o.valid.eq(held), self.o.payload.eq(burst),
            self.i.ready.eq(~held | self.o.ready & burst.last),
        ]
        with m.If(self.i.ready):
            single = ~reach[low + block:].any()
            beats = (run.address[:low] + run.bytes[:low + block] - 1)[low:low + block]
            m.d.sync += [
                held.eq(self.i.valid & self.i.payload.legal), blocks.eq(reach[low + block:]), end.eq(reach[low:low + block]),
                burst.beat.eq(run.address[low:]), burst.last.eq(single),
                burst.more.eq(Mux(single, beats, whole - run.address[low:low + block]))]
        with m.Elif(self.o.ready):
            m.d.sync += [
                blocks.eq(blocks - 1), burst.beat.eq(Cat(Const(0, block), burst.beat[block:] + 1)),
                burst.last.eq(blocks == 1), burst.more.eq(Mux(blocks == 1, end, whole))]
        return m
