"""Who may use the read channel."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import AxiReadSignature


class ReadArbiter(wiring.Component):
    """Two read managers on one: ``load`` with ARID 0, ``fetch`` with ARID 1, which goes first.

    No latency. A request that waits for ``arready`` stays. Data goes back by RID.
    """

    LOAD, FETCH = range(2)

    def __init__(self, bus_bits: int):
        axi = AxiReadSignature(bus_bits, id_bits=1)
        super().__init__({"load": In(axi), "fetch": In(axi), "axi": Out(axi)})

    def elaborate(self, platform):
        m = Module()
        load, fetch, axi = self.load, self.fetch, self.axi
        waits, waiting, chosen = Signal(), Signal(), Signal()
        m.d.comb += [
            chosen.eq(Mux(waits, waiting, fetch.arvalid)),
            axi.arvalid.eq(Mux(chosen, fetch.arvalid, load.arvalid)),
            axi.arid.eq(chosen),
            fetch.arready.eq(axi.arready & chosen),
            load.arready.eq(axi.arready & ~chosen),
            axi.rready.eq(Mux(axi.rid, fetch.rready, load.rready)),
            fetch.rvalid.eq(axi.rvalid & axi.rid),
            load.rvalid.eq(axi.rvalid & ~axi.rid),
        ]
        m.d.sync += [waits.eq(axi.arvalid & ~axi.arready), waiting.eq(chosen)]
        for name in ("araddr", "arlen", "arsize", "arburst", "arlock", "arcache", "arprot", "arqos"):
            m.d.comb += getattr(axi, name).eq(Mux(chosen, getattr(fetch, name), getattr(load, name)))
        for name in ("rid", "rdata", "rresp", "rlast"):
            m.d.comb += [getattr(port, name).eq(getattr(axi, name)) for port in (load, fetch)]
        return m
