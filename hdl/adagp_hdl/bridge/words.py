"""Accesses to one 32-bit word, and AXI4-Lite behind them."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import ADDRESS_BITS, AxiLiteSignature

OKAY, EXOKAY, SLVERR, DECERR = range(4)
"""Responses of AXI."""


class WordAccess(wiring.Signature):
    """One access at a time, seen from who begins it: ``start`` for one cycle while ``idle``, with the
    rest of what goes out; ``done`` for one cycle with ``response`` and, of a read, ``read_data``. It is
    idle again in the cycle after ``done``. ``address`` is a multiple of 4."""

    def __init__(self):
        super().__init__({
            "idle": In(1), "start": Out(1), "write": Out(1), "address": Out(ADDRESS_BITS), "data": Out(32),
            "done": In(1), "response": In(2), "read_data": In(32),
        })


class LiteManager(wiring.Component):
    """Accesses to registers. Whatever the subordinate does, what is requested of it stays until it answers."""

    access: In(WordAccess())
    bus: In(AxiLiteSignature())

    def elaborate(self, platform):
        m = Module()
        access, bus = self.access, self.bus
        channels = ((bus.awvalid, bus.awready), (bus.wvalid, bus.wready), (bus.arvalid, bus.arready))
        for valid, ready in channels:
            with m.If(ready):
                m.d.sync += valid.eq(0)
        answered = bus.bvalid & bus.bready | bus.rvalid & bus.rready
        m.d.comb += [access.idle.eq(~bus.bready & ~bus.rready), access.done.eq(answered), bus.wstrb.eq(0b1111),
                     bus.awaddr.eq(bus.araddr), access.read_data.eq(bus.rdata)]
        with m.If(bus.bready):
            m.d.comb += access.response.eq(bus.bresp)
        with m.Else():
            m.d.comb += access.response.eq(bus.rresp)
        with m.If(access.start):
            m.d.sync += [bus.awvalid.eq(access.write), bus.wvalid.eq(access.write), bus.bready.eq(access.write),
                         bus.arvalid.eq(~access.write), bus.rready.eq(~access.write),
                         bus.araddr.eq(access.address), bus.wdata.eq(access.data)]
        with m.Elif(answered):
            m.d.sync += [bus.bready.eq(0), bus.rready.eq(0)]
        return m
