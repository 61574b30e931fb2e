"""The multiplier of ECP5 with its own registers against the component whose place it takes."""

import ctypes

import numpy as np
import pytest

from adagp_flows.synthesis.models import with_models
from adagp_flows.synthesis.netlist import cells
from adagp_hdl.arithmetic.product import RegisteredProduct
from adagp_hdl.verilog import convert
from adagp_tb.verilator import BuildError, build
from test_models import DRIVER

CYCLES = 100_000

_PORTS = ".clk(clk), .rst(1'b0), .left(random[6:0]), .right(random[22:16]), .take(take)"

#: Both with the same random inputs, compared from when factors were taken that reset did not leave there.
COMPARISON = f"""
module top(input clk, input [511:0] random, output [63:0] differs);
  reg [3:0] started = 0;
  wire take = random[32] | ~started[3];
  wire [22:0] want, got;
  always @(posedge clk) started <= {{started, 1'b1}};
  rtl_registered_product rtl({_PORTS}, .product(want[15:0]), .left_taken(want[22:16]));
  block_registered_product block({_PORTS}, .product(got[15:0]), .left_taken(got[22:16]));
  assign differs = {{63'b0, started[3] & (want != got)}};
endmodule
"""


def verilog(name: str) -> str:
    return convert(RegisteredProduct(7), name=f"{name}_registered_product")


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    return cells(verilog("block"), top="block_registered_product", target="ecp5", cache=tmp_path_factory.mktemp("ecp5"))


def differences(netlist: str) -> int:
    library = ctypes.CDLL(str(build(COMPARISON + verilog("rtl") + with_models(netlist, "ecp5"), DRIVER)))
    library.differences.restype = ctypes.c_uint64
    return library.differences(ctypes.c_uint64(CYCLES), np.zeros(64, np.uint64).ctypes.data_as(ctypes.c_void_p))


def test_block_with_registers_gives_the_products_of_the_component(netlist):
    assert netlist.count("MULT18X18D") == 1 and netlist.count("  TRELLIS_FF ") == 7 + 16
    assert differences(netlist) == 0


@pytest.mark.parametrize(("used", "other"), [
    ('REG_INPUTB_CE("CE1")', 'REG_INPUTB_CE("CE0")'), ('REG_OUTPUT_CLK("CLK0")', 'REG_OUTPUT_CLK("NONE")'),
    ('REG_INPUTA_CLK("CLK0")', 'REG_INPUTA_CLK("NONE")'), (".RST0(1'h0)", ".RST0(left[0])")])
def test_another_use_of_its_registers_is_noticed(netlist, used, other):
    assert used in netlist
    assert differences(netlist.replace(used, other)) > CYCLES // 10


def test_register_that_has_no_model_is_refused(netlist):
    with pytest.raises(BuildError, match="no_model_of_such_a_multiplier"):
        differences(netlist.replace("REG_OUTPUT_CE", 'REG_PIPELINE_CLK("CLK0"), .REG_OUTPUT_CE'))
