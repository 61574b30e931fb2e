"""A memory on the chip behind AXI4, with an entrance for the host."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from ..bus.fifo import Fifo
from ..interfaces import ADDRESS_BITS, AxiReadSignature, AxiWriteSignature
from .words import DECERR, WordAccess

LEAST_BYTES = 4096
_READS_AHEAD = 8

FIXED, INCR, WRAP = range(3)
"""Burst types of AXI4."""


class AxiMemory(wiring.Component):
    """``memory_bytes`` from address 0, a power of two of at least :data:`LEAST_BYTES`.

    A subordinate for bursts of every type, length and size up to the bus width; one read and one write
    burst at a time, a beat per cycle each, the first beat of a read four cycles after its address. What
    lies beyond the memory answers DECERR: beats read are zero, beats written are dropped. A read that is
    accepted after the response of a write sees what that wrote. Exclusive accesses are ordinary ones.

    ``host`` reads and writes single words, ahead of the bus, which waits for one cycle; it is answered two
    cycles later, DECERR beyond the memory. At power-up the contents are undefined.
    """

    def __init__(self, memory_bytes: int, *, bus_bits: int, id_bits: int = 1):
        if not isinstance(memory_bytes, int) or memory_bytes < LEAST_BYTES or memory_bytes & (memory_bytes - 1):
            raise ValueError(f"AxiMemory.memory_bytes must be a power of two of at least {LEAST_BYTES}, "
                             f"not {memory_bytes!r}")
        self._bytes, self._bits, self._id_bits = memory_bytes, bus_bits, id_bits
        super().__init__({"read": In(AxiReadSignature(bus_bits, id_bits)), "host": In(WordAccess()),
                          "write": In(AxiWriteSignature(bus_bits, id_bits))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.storage = storage = Memory(shape=self._bits, depth=self._bytes * 8 // self._bits, init=[])
        read, write = storage.read_port(), storage.write_port(granularity=8)
        host = self.host
        self._answer_host(m, read)
        with m.If(host.start & ~host.write):
            m.d.comb += read.addr.eq(self._beat(host.address))
        self._serve_reads(m, read, waits=host.start & ~host.write)
        with m.If(host.start & host.write):
            m.d.comb += [write.addr.eq(self._beat(host.address)), write.data.eq(host.data.replicate(self._bits // 32)),
                         write.en.eq(Mux(self._inside(host.address), self._lanes(host.address), 0))]
        self._serve_writes(m, write, waits=host.start & host.write)
        return m

    def _beat(self, address: Value) -> Value:
        return address[(self._bits // 8 - 1).bit_length():]

    def _inside(self, address: Value) -> Value:
        return ~address[(self._bytes - 1).bit_length():].any()

    def _lanes(self, address: Value) -> Value:
        """The byte strobes of the word at ``address``."""
        word = self._word(address)
        return Cat((word == i).replicate(4) for i in range(self._bits // 32))

    def _word(self, address: Value) -> Value:
        return address[2:(self._bits // 8 - 1).bit_length()]

    def _answer_host(self, m: Module, read):
        """Two cycles after its start: the word, selected from the beat that was read in the first."""
        host = self.host
        waits, word, inside = Signal(2), Signal.like(self._word(host.address)), Signal()
        m.d.sync += waits.eq(Cat(host.start, waits[0]))
        with m.If(host.start):
            m.d.sync += [word.eq(self._word(host.address)), inside.eq(self._inside(host.address))]
        with m.If(waits[0]):
            m.d.sync += host.read_data.eq(Mux(inside, read.data.word_select(word, 32), 0))
        m.d.comb += [host.idle.eq(~waits.any()), host.done.eq(waits[1]), host.response.eq(Mux(inside, 0, DECERR))]

    def _serve_reads(self, m: Module, read, *, waits: Value):
        """Beats are read ahead while the queue behind the memory has room for all that are on their way."""
        bus = self.read
        burst = _Burst(len(bus.arlen), bus.arid.shape())
        m.submodules.beats = beats = Fifo(data.StructLayout(
            {"data": self._bits, "id": self._id_bits, "last": 1, "inside": 1}), _READS_AHEAD)
        reading, left, ahead = Signal(), Signal(8), Signal(range(_READS_AHEAD + 1))
        issue, last, leaves = Signal(), Signal(), Signal()
        m.d.comb += [issue.eq(reading & (ahead != _READS_AHEAD) & ~waits), last.eq(left == 0),
                     bus.arready.eq(~reading | issue & last), leaves.eq(beats.o.valid & beats.o.ready)]
        m.d.sync += ahead.eq(ahead + issue - leaves)
        with m.If(issue):
            m.d.comb += read.addr.eq(self._beat(burst.address))
            m.d.sync += [left.eq(left - 1), burst.address.eq(burst.following()), reading.eq(~last)]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [reading.eq(1), left.eq(bus.arlen), *burst.begin(
                bus.araddr, bus.arlen, bus.arsize, bus.arburst, bus.arid)]

        issued = Signal()
        tag, tagged = Signal(beats.i.payload.shape()), Signal(beats.i.payload.shape())
        m.d.comb += [tag.id.eq(burst.id), tag.last.eq(last), tag.inside.eq(self._inside(burst.address))]
        m.d.sync += [issued.eq(issue), tagged.eq(tag), beats.i.valid.eq(issued), beats.i.payload.eq(tagged),
                     beats.i.payload.data.eq(read.data)]
        beat = beats.o.payload
        m.d.comb += [
            bus.rvalid.eq(beats.o.valid), beats.o.ready.eq(bus.rready), bus.rid.eq(beat.id), bus.rlast.eq(beat.last),
            bus.rresp.eq(Mux(beat.inside, 0, DECERR)), bus.rdata.eq(Mux(beat.inside, beat.data, 0))]

    def _serve_writes(self, m: Module, write, *, waits: Value):
        bus = self.write
        burst = _Burst(len(bus.awlen), bus.awid.shape())
        writing, outside = Signal(), Signal()
        m.d.comb += [bus.awready.eq(~writing & ~bus.bvalid), bus.wready.eq(writing & ~waits), bus.bid.eq(burst.id)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [writing.eq(1), outside.eq(0), *burst.begin(
                bus.awaddr, bus.awlen, bus.awsize, bus.awburst, bus.awid)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.wvalid & bus.wready):
            inside = self._inside(burst.address)
            m.d.comb += [write.addr.eq(self._beat(burst.address)), write.data.eq(bus.wdata),
                         write.en.eq(Mux(inside, bus.wstrb, 0))]
            m.d.sync += [burst.address.eq(burst.following()), outside.eq(outside | ~inside)]
            with m.If(bus.wlast):
                m.d.sync += [writing.eq(0), bus.bvalid.eq(1), bus.bresp.eq(Mux(outside | ~inside, DECERR, 0))]


class _Burst:
    """Registers of a burst: ``address`` of the current beat and ``id``."""

    def __init__(self, length_bits: int, id_shape):
        self.address, self.id = Signal(ADDRESS_BITS), Signal(id_shape)
        self._kind, self._within_beat, self._within_wrap = Signal(2), Signal(7), Signal(length_bits + 7)

    def begin(self, address: Value, length: Value, size: Value, kind: Value, identifier: Value) -> list:
        """Assignments of what an address channel says."""
        return [self.address.eq(address), self.id.eq(identifier), self._kind.eq(kind),
                self._within_beat.eq((1 << size) - 1), self._within_wrap.eq(((length + 1) << size) - 1)]

    def following(self) -> Value:
        """The address of the next beat."""
        stepped = (self.address | self._within_beat) + 1
        wrapped = self.address ^ ((self.address ^ stepped) & self._within_wrap)
        return Mux(self._kind == FIXED, self.address, Mux(self._kind == WRAP, wrapped, stepped))
