import pytest
from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.bus.arbiter import ReadArbiter
from adagp_hdl.bus.burst_reader import BurstReader
from adagp_hdl.interfaces import AxiReadSignature, Run
from adagp_tb.cocotb_runner import run_bench


class SharedBus(wiring.Component):
    """Two readers on one read channel, as in the machine."""

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        beat = data.StructLayout({"data": config.bus_bits, "last": 1})
        super().__init__({
            "load_run": In(stream.Signature(Run)), "load_data": Out(stream.Signature(beat)),
            "fetch_run": In(stream.Signature(Run)), "fetch_data": Out(stream.Signature(beat)),
            "axi": Out(AxiReadSignature(config.bus_bits, id_bits=1)),
            "window_first": In(32), "window_last": In(32), "halt": In(1), "quiet": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = ReadArbiter(self._config.bus_bits)
        readers = {name: BurstReader(self._config) for name in ("load", "fetch")}
        for name, reader in readers.items():
            m.submodules[name] = reader
            connect(m, reader.axi, getattr(arbiter, name))
            connect(m, flipped(getattr(self, f"{name}_run")), reader.run)
            connect(m, reader.data, flipped(getattr(self, f"{name}_data")))
            m.d.comb += [reader.window_first.eq(self.window_first), reader.window_last.eq(self.window_last),
                         reader.halt.eq(self.halt)]
        connect(m, arbiter.axi, flipped(self.axi))
        m.d.comb += self.quiet.eq(readers["load"].quiet & readers["fetch"].quiet)
        return m


@pytest.mark.parametrize("bus_bits, burst_beats, buffer", [(64, 16, 128), (128, 1, 32), (512, 64, 128)])
def test_two_readers_on_one_bus(bus_bits, burst_beats, buffer):
    config = AcceleratorConfig(rows=4, columns=4, bus_bits=bus_bits, burst_beats=burst_beats, read_buffer_beats=buffer)
    run_bench(SharedBus(config), "adagp_tb.cocotb_burst", name=f"burst_{bus_bits}_{burst_beats}",
              parameters={"bus_bytes": bus_bits // 8, "burst_beats": burst_beats})
