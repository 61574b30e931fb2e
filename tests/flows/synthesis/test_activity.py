"""Activity of registers, memories and inputs, and the netlist in which they are found."""

import numpy as np
import pytest

from adagp_flows.synthesis.activity import Activity, annotations
from adagp_flows.synthesis.cell_netlist import CellNetlist, Shape

NETLIST = """module top(clk, \\a[0] , \\a[1] , y);
  input clk;
  wire clk;
  input \\a[0] ;
  wire \\a[0] ;
  input \\a[1] ;
  wire \\a[1] ;
  output y;
  part \\parts[0]  (
    .clk(clk),
    .d(\\a[0] ),
    .q(y)
  );
  part \\parts[1]  (
    .clk(clk),
    .d(\\a[1] ),
    .q(y)
  );
  memory_box #(
    .ABITS(32'h00000003),
    .RD_CLK_ENABLE(1'h1),
    .RD_PORTS(32'h00000001),
    .SIZE(32'h00000008),
    .WIDTH(32'h00000002),
    .WR_PORTS(32'h00000001)
  ) words (
    .RD_CLK(clk),
    .RD_DATA({ \\read[1] , \\read[0]  })
  );
endmodule
module part(clk, d, q);
  input clk;
  input d;
  output q;
  DFFPOSX1 _1_ (
    .CLK(clk),
    .D(d),
    .Q(\\state.sum[1] )
  );
  DFFPOSX1 _2_ (
    .CLK(clk),
    .D(d),
    .Q(_0_)
  );
  INVX1 _3_ (
    .A(\\state.sum[1] ),
    .Y(q)
  );
endmodule
"""


def bits(*transitions: float) -> np.ndarray:
    return np.array([[each, each / 2] for each in transitions])


ACTIVITY = Activity(source="a simulation", signals={
    "a": bits(0.1, 0.2), "read": bits(0.3, 0.5), "parts[0].state.sum": bits(0.9, 0.6), "parts[1].state.sum": bits(0.9, 0.8)})


def test_registers_memories_and_inputs_get_what_was_simulated():
    noted = annotations(CellNetlist(NETLIST, "top"), ACTIVITY, flip_flops={"DFFPOSX1": "Q"})
    assert set(noted.lines) == {
        "toggle {parts[0]/_1_/ACTIVITY} 0.6 0.3", "toggle {parts[0]/_2_/ACTIVITY} 0.6 0.3",  # _2_: the mean of the part
        "toggle {parts[1]/_1_/ACTIVITY} 0.8 0.4", "toggle {parts[1]/_2_/ACTIVITY} 0.8 0.4",
        "toggle {words/ACTIVITY} 0.4 0.2",
        "toggle_input {clk} 0 0", "toggle_input {a[0]} 0.1 0.05", "toggle_input {a[1]} 0.2 0.1"}
    assert (noted.bits, noted.unknown) == (4, 2)
    assert noted.coverage == "2 of 4 register bits, and the mean of their module for the others"


def test_a_part_has_the_mean_of_its_instances():
    part = ACTIVITY.within(["parts[0]", "parts[1]"], what="two parts")
    assert part.source == "a simulation; mean over two parts"
    assert {name: values.tolist() for name, values in part.signals.items()} == {"state.sum": bits(0.9, 0.7).tolist()}


def test_a_place_without_signals_is_refused():
    with pytest.raises(ValueError, match=r"there are no signals in parts\[2\]"):
        ACTIVITY.within(["parts[0]", "parts[2]"], what="two parts")


def test_netlist_tells_cells_and_memories_apart():
    netlist = CellNetlist(NETLIST, "top")
    assert netlist.cells("part") == {"DFFPOSX1": 2, "INVX1": 1} and not netlist.cells("top")
    assert netlist.memories("top") == [Shape(words=8, width=2, address_bits=3, synchronous=True)]
    assert netlist.shapes() == set(netlist.memories("top"))
    assert "memory_8x2 words (" in netlist.with_memories_as_cells()
    assert "memory_box" not in netlist.with_memories_as_cells()


def test_netlist_without_the_top_is_refused():
    with pytest.raises(ValueError, match="the netlist has no module 'whole', only part, top"):
        CellNetlist(NETLIST, "whole")


def test_memories_of_more_ports_are_refused():
    with pytest.raises(ValueError, match="words: RD_PORTS must be 1, not 2"):
        CellNetlist(NETLIST.replace(".RD_PORTS(32'h00000001)", ".RD_PORTS(32'h00000002)"), "top").shapes()


def test_activity_is_the_same_once_saved(tmp_path):
    ACTIVITY.save(tmp_path / "activity.npz")
    loaded = Activity.load(tmp_path / "activity.npz")
    assert loaded.source == ACTIVITY.source and list(loaded.signals) == list(ACTIVITY.signals)
    assert all(np.array_equal(loaded.signals[name], values) for name, values in ACTIVITY.signals.items())
