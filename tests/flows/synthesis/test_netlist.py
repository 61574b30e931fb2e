"""The netlist of a small array through the bench of the RTL; ``python -m adagp_flows.synthesis.netlist`` has machines, too."""

from functools import partial

import pytest

from adagp_flows.synthesis.models import with_models
from adagp_flows.synthesis.netlist import TARGETS, caught, check_array, mutated, simulated
from adagp_tb.verilator import BuildError, build
from test_models import DRIVER

pytestmark = pytest.mark.xdist_group("netlist")  # they share what was synthesised

ONE_LUT = """module first(a, b);
  LUT2 #(
    .INIT(4'h8)
  ) _0_ (
    .I0(a), .I1(b), .O(c)
  );
endmodule
module second(a);
  LUT6 #(
    .INIT(64'h00000000000000ff)
  ) _1_ (
    .I0(a), .O(b)
  );
endmodule
"""


@pytest.mark.parametrize("target", TARGETS)
def test_array_computes_the_same_bits(target):
    assert check_array(partial(simulated, top="top", target=target)) > 5_000


def test_inverted_bit_in_an_element_is_noticed():
    assert any(caught("xc7", seed) for seed in range(3))  # an entry of a table that no input selects makes no difference


def test_mutant_differs_in_one_bit_of_one_table():
    for seed in range(20):
        changed = mutated(ONE_LUT, "first", seed)
        assert changed in {ONE_LUT.replace("4'h8", f"4'h{8 ^ 1 << bit:x}") for bit in range(4)}
    assert len({mutated(ONE_LUT, "", seed) for seed in range(20)}) > 4
    with pytest.raises(ValueError, match="module must be part of the name of a module with LUTs, not 'third'"):
        mutated(ONE_LUT, "third", 0)


def test_block_ram_that_has_no_model_is_refused():
    netlist = """module top(input clk, input [511:0] random, output [63:0] differs);
  RAMB18E1 #(.READ_WIDTH_A(18), .WRITE_WIDTH_B(18), .DOA_REG(1)) ram (.CLKARDCLK(clk), .DOADO(differs[15:0]));
endmodule
"""
    with pytest.raises(BuildError, match="no_model_of_such_a_block_ram"):
        build(with_models(netlist, "xc7"), DRIVER)
