import pytest

from adagp_hdl.memory.vector import VectorMemory
from adagp_tb.cocotb_runner import run_bench


@pytest.mark.parametrize("words, lanes, banks, predictor", [(64, 4, 4, False), (32, 2, 2, False), (64, 4, 8, True)])
def test_traffic_on_all_ports(words, lanes, banks, predictor):
    shape = {"words": words, "lanes": lanes, "banks": banks, "predictor": predictor}
    run_bench(VectorMemory(**shape), "adagp_tb.cocotb_vector_memory", name=f"vector_memory_{words}_{lanes}_{banks}",
              parameters=shape, tests=None if banks > 2 else "random|next_cycle|turns")


@pytest.mark.parametrize("words, banks, name", [(48, 4, "words"), (4, 4, "words"), (64, 3, "banks"), (64, 1, "banks")])
def test_sizes_that_do_not_wrap_are_refused(words, banks, name):
    with pytest.raises(ValueError, match=f"VectorMemory.{name} must be a power of two"):
        VectorMemory(words=words, lanes=4, banks=banks)
