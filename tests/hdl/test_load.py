import pytest

from adagp.spec.config import AcceleratorConfig, Design
from adagp_hdl.load.engine import LoadEngine
from adagp_tb.cocotb_runner import run_bench

LOCAL = dict(design=Design.EFFICIENT, predictor_elements=1024)
SHAPES = {"bus64_lanes4": dict(rows=4, columns=4, bus_bits=64),
          "bus128_lanes8": dict(rows=8, columns=8, bus_bits=128),
          "bus64_lanes16_8": dict(rows=16, columns=8, bus_bits=64),
          "bus128_lanes8_16": dict(rows=3, columns=15, bus_bits=128),
          "local_bus128": LOCAL | dict(rows=3, columns=15, bus_bits=128),
          "max_bus64": LOCAL | dict(rows=7, columns=5, bus_bits=64, burst_beats=4, design=Design.MAX, predictor_rows=5,
                                    predictor_columns=3, predictor_stream_elements=256,
                                    predictor_stationary_elements=128)}


@pytest.mark.parametrize("name", SHAPES)
def test_engine(name):
    shape = dict(stream_elements=4096, stationary_elements=2048, vector_words=256) | SHAPES[name]
    run_bench(LoadEngine(AcceleratorConfig(**shape)), "adagp_tb.cocotb_load", name=f"load_{name}",
              parameters={"config": shape, "seed": 1, "instructions": 60}, timeout=120)
