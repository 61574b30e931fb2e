import pytest

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.store.engine import StoreEngine
from adagp_tb.cocotb_runner import run_bench

SHAPES = {"bus64_lanes4": dict(rows=4, columns=4, bus_bits=64),
          "bus128_lanes8": dict(rows=8, columns=8, bus_bits=128),
          "bus64_lanes16": dict(rows=4, columns=16, bus_bits=64),
          "bus128_lanes16": dict(rows=3, columns=15, bus_bits=128)}


@pytest.mark.parametrize("name", SHAPES)
def test_engine(name):
    shape = dict(SHAPES[name], vector_words=256)
    run_bench(StoreEngine(AcceleratorConfig(**shape)), "adagp_tb.cocotb_store", name=f"store_{name}",
              parameters={"config": shape, "seed": 1, "instructions": 60}, timeout=120)
