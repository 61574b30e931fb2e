"""How a design is taken apart, and its figures are added up."""

from collections import Counter

import pytest

from adagp_flows.synthesis.modules import Hierarchy

LEAF = """module leaf(a, q, clk);
  function [1:0] chosen;
    input [1:0] b;
    chosen = b;
  endfunction
  input clk;
  wire clk;
  input [3:0] a;
  output [3:0] q;
  reg [3:0] q;
  always @(posedge clk) q <= a;
endmodule
"""
STORE = "module store(clk);\n  input clk;\n  reg [7:0] words [63:0];\nendmodule\n"
PAIR = """module pair(a, clk);
  input [3:0] a; input clk;
  leaf first (
    .a(a),
    .clk(clk)
  );
  leaf \\second[1]  (
    .a(a),
    .clk(clk)
  );
endmodule
"""
TOP = "module top(clk);\n  input clk;\n" + "".join(
    f"  {kind} {name} (\n    .clk(clk)\n  );\n" for kind, name in (("leaf", "a"), ("pair", "b"), ("pair", "c"), ("store", "d"))) + "endmodule\n"
SOURCE = LEAF + STORE + TOP + PAIR + "module stray(clk);\n  input clk;\nendmodule\n"


def test_instances_are_counted_through_the_hierarchy():
    assert Hierarchy.of(SOURCE, "top").instances == {"top": 1, "pair": 2, "leaf": 5, "store": 1}
    assert Hierarchy.of(SOURCE, "pair").instances == {"pair": 1, "leaf": 2}


def test_totals_are_sums_over_all_instances():
    own = {"top": Counter(lut=1), "pair": Counter(lut=10, ff=1), "leaf": Counter(ff=100), "store": Counter(lut=1000)}
    assert Hierarchy.of(SOURCE, "top").with_children(own) == {
        "top": {"lut": 1021, "ff": 502}, "pair": {"lut": 10, "ff": 201}, "leaf": {"ff": 100}, "store": {"lut": 1000}}


def test_children_are_black_boxes_with_their_ports_alone():
    text = Hierarchy.of(SOURCE, "top").source("pair")
    assert text.startswith(PAIR.strip()) and text.count("endmodule") == 2
    box = text[text.index("(* blackbox *)"):].split("\n")
    assert box == ["(* blackbox *)", "module leaf(a, q, clk);", "  input clk;", "  input [3:0] a;", "  output [3:0] q;", "endmodule", ""]


def test_memories_are_seen():
    modules = Hierarchy.of(SOURCE, "top").modules
    assert {name for name, module in modules.items() if module.has_memory} == {"store"}


def test_an_unknown_top_is_refused():
    with pytest.raises(ValueError, match="top must be a module of the Verilog, not 'adagp'"):
        Hierarchy.of(SOURCE, "adagp")
