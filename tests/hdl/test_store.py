import pytest

from adagp.spec.config import AcceleratorConfig, Design
from adagp_hdl.store.engine import StoreEngine
from adagp_tb.cocotb_runner import run_bench

LOCAL = dict(design=Design.EFFICIENT, predictor_elements=1024)
SHAPES = {"bus64_lanes4": dict(rows=4, columns=4, bus_bits=64),
          "bus128_lanes8": dict(rows=8, columns=8, bus_bits=128),
          "bus128_lanes8_long_bursts": dict(rows=8, columns=8, bus_bits=128, burst_beats=64),  # more beats wait than bursts may
          "bus64_lanes16": dict(rows=4, columns=16, bus_bits=64),
          "bus128_lanes16": dict(rows=3, columns=15, bus_bits=128),
          "local_bus64": LOCAL | dict(rows=4, columns=4, bus_bits=64),
          "local_bus128_short_bursts": LOCAL | dict(rows=3, columns=15, bus_bits=128, burst_beats=4)}


@pytest.mark.parametrize("name", SHAPES)
def test_engine(name):
    shape = dict(vector_words=256) | SHAPES[name]
    run_bench(StoreEngine(AcceleratorConfig(**shape)), "adagp_tb.cocotb_store", name=f"store_{name}",
              parameters={"config": shape, "seed": 1, "instructions": 60}, timeout=120)
