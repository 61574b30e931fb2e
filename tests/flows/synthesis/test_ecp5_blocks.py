"""Modules made of ECP5's cells by hand against the components whose place they take."""

import ctypes
import re

import numpy as np
import pytest

from adagp_flows.synthesis.models import with_models
from adagp_flows.synthesis.netlist import cells
from adagp_hdl.arithmetic.product import StalledProduct
from adagp_hdl.memory.selection import OneOf
from adagp_hdl.verilog import convert
from adagp_tb.verilator import build
from test_models import DRIVER

CYCLES = 100_000

#: Name of the block, the component, its inputs and the width of its output.
BLOCKS = {
    "stalled_product": (lambda: StalledProduct(23), ".clk(clk), .rst(1'b0), .en(en), .left(random[22:0]), .right(random[45:23])",
                        "product", 48),
    "one_of_four": (lambda: OneOf(4), ".index(random[1:0])", "o", 32),
    "one_of_eight": (lambda: OneOf(8), ".index(random[2:0])", "o", 32)}
VALUES = {"one_of_four": 4, "one_of_eight": 8}


def comparison(block: str) -> str:
    """Both with the same random inputs, compared once the block's pipeline is full."""
    _, inputs, output, width = BLOCKS[block]
    inputs += "".join(f", .values__{i}(random[{32 * i + 63}:{32 * i + 32}])" for i in range(VALUES.get(block, 0)))
    return f"""
module top(input clk, input [511:0] random, output [63:0] differs);
  reg [3:0] started = 0;
  wire en = random[511] | ~started[3];
  wire [{width - 1}:0] want, got;
  always @(posedge clk) started <= {{started, 1'b1}};
  rtl_{block} rtl({inputs}, .{output}(want));
  block_{block} block({inputs}, .{output}(got));
  assign differs = {{63'b0, started[3] & (want != got)}};
endmodule
"""


@pytest.fixture(scope="module", params=BLOCKS)
def block(request, tmp_path_factory) -> tuple[str, str, str]:
    """Its name, the component's Verilog and the netlist."""
    rtl, own = (convert(BLOCKS[request.param][0](), name=f"{name}_{request.param}") for name in ("rtl", "block"))
    netlist = cells(own, top=f"block_{request.param}", target="ecp5", cache=tmp_path_factory.mktemp("ecp5"))
    return request.param, rtl, netlist


def differences(name: str, rtl: str, netlist: str) -> int:
    library = ctypes.CDLL(str(build(comparison(name) + rtl + with_models(netlist, "ecp5"), DRIVER)))
    library.differences.restype = ctypes.c_uint64
    return library.differences(ctypes.c_uint64(CYCLES), np.zeros(64, np.uint64).ctypes.data_as(ctypes.c_void_p))


def test_block_is_the_component(block):
    assert differences(*block) == 0


#: Of each block a part of its netlist and what is not the same.
OTHERS = {"stalled_product": (".SIGNEDA(1'h0)", ".SIGNEDA(1'h1)"), "one_of_four": ("16'hcaca", "16'hacac"),
          "one_of_eight": (".SD(index[2])", ".SD(index[1])")}


def test_another_use_of_the_cells_is_noticed(block):
    name, rtl, netlist = block
    used, other = OTHERS[name]
    assert used in netlist
    assert differences(name, rtl, netlist.replace(used, other)) > CYCLES // 10


#: What each is there for.
CELLS = {"stalled_product": ("MULT18X18D", 4), "one_of_four": ("LUT4", 2 * 32), "one_of_eight": ("LUT4", 4 * 32)}


def test_block_takes_the_cells_that_it_is_there_for(block):
    name, _, netlist = block
    cell, count = CELLS[name]
    assert len(re.findall(rf"^  {cell} ", netlist, re.MULTILINE)) == count
