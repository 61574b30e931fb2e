import pytest

from adagp_hdl.memory.vector import VectorMemory
from adagp_tb.cocotb_runner import run_bench


@pytest.mark.parametrize("words, lanes, banks", [(64, 4, 4), (32, 2, 2)])
def test_traffic_on_all_ports(words, lanes, banks):
    run_bench(VectorMemory(words=words, lanes=lanes, banks=banks), "adagp_tb.cocotb_vector_memory",
              name=f"vector_memory_{words}_{lanes}_{banks}", parameters={"words": words, "lanes": lanes, "banks": banks},
              tests=None if banks == 4 else "random|next_cycle|turns")


@pytest.mark.parametrize("words, banks, name", [(48, 4, "words"), (4, 4, "words"), (64, 3, "banks"), (64, 1, "banks")])
def test_sizes_that_do_not_wrap_are_refused(words, banks, name):
    with pytest.raises(ValueError, match=f"VectorMemory.{name} must be a power of two"):
        VectorMemory(words=words, lanes=4, banks=banks)
