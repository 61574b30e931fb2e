import pytest

from adagp_hdl.bridge.memory import AxiMemory
from adagp_tb.cocotb_runner import run_bench


@pytest.mark.parametrize("bus_bits", [64, 512])
def test_memory(bus_bits):
    run_bench(AxiMemory(1 << 14, bus_bits=bus_bits), "adagp_tb.cocotb_axi_memory", name=f"axi_memory_{bus_bits}",
              parameters={"memory_bytes": 1 << 14, "bus_bytes": bus_bits // 8}, timeout=240)
