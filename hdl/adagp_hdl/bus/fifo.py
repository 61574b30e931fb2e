"""Queues of stream payloads, of one and of many."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.attributes import BLOCK, UNCHECKED


class Elastic(wiring.Component):
    """Passes payloads at once, and keeps one that the other side does not take: ``i.ready`` is a register, so paths
    through ``ready`` end here. One payload per cycle, no latency."""

    def __init__(self, shape: ShapeLike):
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        full = Signal()
        kept = Signal(self._shape, reset_less=True)
        m.d.comb += [self.i.ready.eq(~full), self.o.valid.eq(full | self.i.valid),
                     Value.cast(self.o.payload).eq(Mux(full, kept, self.i.payload))]
        m.d.sync += full.eq(self.o.valid & ~self.o.ready)
        with m.If(~full):
            m.d.sync += kept.eq(self.i.payload)
        return m


class Fifo(wiring.Component):
    """A first-in first-out queue; ``depth`` is a power of two of at least 2.

    With ``block=False`` it lies in distributed memory and a payload is offered in the cycle after
    it came in; with ``block=True`` it lies in block memory, a payload is offered two cycles after
    it came in, and there is room for one more. One payload per cycle in and out; ``i.ready``
    and ``o.valid`` are registers.
    """

    def __init__(self, shape: ShapeLike, depth: int, *, block: bool = False):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"Fifo.depth must be a power of two of at least 2, not {depth!r}")
        self._shape = shape
        self._depth = depth
        self._block = block
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        attributes = BLOCK if self._block else UNCHECKED  # what is being written is never offered
        m.submodules.storage = storage = Memory(shape=Shape.cast(self._shape), depth=self._depth, init=[], attrs=attributes)
        write = storage.write_port()
        read = storage.read_port(domain="sync" if self._block else "comb")
        pointer_bits = (self._depth - 1).bit_length() + 1
        head = Signal(pointer_bits)
        tail = Signal(pointer_bits)
        full = Signal()
        some = Signal()
        take, one_left, one_in = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            write.addr.eq(tail), write.en.eq(self.i.valid & self.i.ready), write.data.eq(self.i.payload),
            read.addr.eq(head), Value.cast(self.o.payload).eq(read.data),
        ]
        with m.If(write.en):
            m.d.sync += tail.eq(tail + 1)
        with m.If(take):
            m.d.sync += head.eq(head + 1)
        # what the pointers will say, as registers; one level of logic behind both sides, which may be late
        m.d.comb += [one_left.eq((tail + 1)[:pointer_bits] == head ^ self._depth), one_in.eq((head + 1)[:pointer_bits] == tail)]
        m.d.sync += [full.eq(~take & (full | self.i.valid & one_left)), some.eq(write.en | some & ~(take & one_in))]
        if self._block:
            m.d.comb += [take.eq(some & (~self.o.valid | self.o.ready)), read.en.eq(take)]
            with m.If(take | self.o.ready):
                m.d.sync += self.o.valid.eq(take)
        else:
            m.d.comb += [self.o.valid.eq(some), take.eq(self.o.valid & self.o.ready)]
        return m
