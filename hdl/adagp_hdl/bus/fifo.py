"""Queues of stream payloads, of one and of many."""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..memory.attributes import BLOCK, UNCHECKED


class Elastic(wiring.Component):
    """Passes payloads at once, and keeps one that the other side does not take: ``i.ready`` is a register, so paths
    through ``ready`` end here. One payload per cycle, no latency. While ``i.ready`` is low, ``kept`` is what is offered,
    from a register."""

    def __init__(self, shape: ShapeLike):
        self._shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "kept": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        empty = Signal(init=1)
        kept = Signal(self._shape, reset_less=True)
        m.d.comb += [self.i.ready.eq(empty), self.o.valid.eq(~empty | self.i.valid), self.kept.eq(kept),
                     Value.cast(self.o.payload).eq(Mux(empty, self.i.payload, kept))]
        m.d.sync += empty.eq(~self.o.valid | self.o.ready)
        with m.If(empty):
            m.d.sync += kept.eq(self.i.payload)
        return m


class Equal(wiring.Component):
    """Whether ``x`` and ``y`` are equal. Combinational, and a component: with what comes late in view, synthesis would lay it
    through the comparison."""

    def __init__(self, bits: int):
        super().__init__({"x": In(bits), "y": In(bits), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.x == self.y)
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
        room = Signal(init=1)
        some = Signal(name="some") if self._block else self.o.valid
        take = Signal()
        m.d.comb += [
            self.i.ready.eq(room),
            write.addr.eq(tail), write.en.eq(self.i.valid & self.i.ready), write.data.eq(self.i.payload),
            read.addr.eq(head), Value.cast(self.o.payload).eq(read.data),
        ]
        with m.If(write.en):
            m.d.sync += tail.eq(tail + 1)
        with m.If(take):
            m.d.sync += head.eq(head + 1)
        # what the pointers will say, as registers, behind both sides in one level of logic
        m.submodules.last_place = last_place = Equal(pointer_bits)
        m.submodules.last_payload = last_payload = Equal(pointer_bits)
        m.d.comb += [last_place.x.eq((tail + 1) ^ self._depth), last_place.y.eq(head),
                     last_payload.x.eq(head + 1), last_payload.y.eq(tail)]
        m.d.sync += [room.eq(take | room & ~(self.i.valid & last_place.o)), some.eq(write.en | some & ~(take & last_payload.o))]
        if self._block:
            m.d.comb += [take.eq(some & (~self.o.valid | self.o.ready)), read.en.eq(take)]
            with m.If(take | self.o.ready):
                m.d.sync += self.o.valid.eq(take)
        else:
            m.d.comb += take.eq(self.o.valid & self.o.ready)
        return m
