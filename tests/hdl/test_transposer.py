import pytest

from adagp_hdl.load.transposer import Transposer
from adagp_tb.cocotb_runner import run_bench


@pytest.mark.parametrize("lanes, columns, chunk", [(4, 32, 4), (16, 32, 8), (32, 32, 4)])
def test_transposes_blocks(lanes, columns, chunk):
    run_bench(Transposer(lanes=lanes, columns=columns, chunk=chunk), "adagp_tb.cocotb_transposer",
              name=f"transposer_{lanes}_{chunk}", parameters={"lanes": lanes, "columns": columns, "chunk": chunk})


@pytest.mark.parametrize("lanes, columns, chunk, name", [(6, 32, 2, "lanes"), (4, 32, 8, "lanes"), (8, 12, 4, "columns")])
def test_sizes_that_do_not_divide_are_refused(lanes, columns, chunk, name):
    with pytest.raises(ValueError, match=f"Transposer.{name} must be a power of two"):
        Transposer(lanes=lanes, columns=columns, chunk=chunk)
