"""A counter and a multiplier through Yosys and nextpnr: cells that can be counted by hand."""

from collections import Counter

import pytest

from adagp_flows.synthesis import areas, ecp5, ice40, nextpnr, xc7
from adagp_flows.synthesis.devices import DoesNotFit
from adagp_flows.synthesis.harness import scan_chain

SOURCE = """module square(clk, a, q);
  input clk;
  input [7:0] a;
  output [15:0] q;
  reg [15:0] q;
  always @(posedge clk) q <= a * a;
endmodule
module both(clk, a, q, r);
  input clk;
  input [7:0] a;
  output [15:0] q;
  output [15:0] r;
  square first (
    .clk(clk),
    .a(a),
    .q(q)
  );
  square second (
    .clk(clk),
    .a(q[7:0]),
    .q(r)
  );
endmodule
"""


def test_a_7_series_device_gets_its_cells_counted(tmp_path):
    result = xc7.synthesise(SOURCE, top="both", device="xc7a35t", folder=tmp_path / "both", cache=tmp_path / "cache")
    assert (result.dsp, result.ramb36, result.lut) == (2, 0, 0)
    assert [(area.module, area.instances, area.total["dsp"]) for area in result.modules] == [("both", 1, 2), ("square", 2, 1)]
    assert (tmp_path / "both" / "modules.csv").read_text().splitlines()[2].startswith("square,2,")
    assert areas.read((tmp_path / "both" / "modules.csv").read_text()) == result.modules
    slowest = (tmp_path / "both" / "paths.txt").read_text().splitlines()[0]
    assert 100 < result.estimate_mhz < 500 and "second" in slowest


def test_an_ecp5_is_placed_with_each_seed(tmp_path):
    result = ecp5.synthesise(SOURCE, top="both", clock="clk", device="25k", clock_mhz=100, seeds=(3, 4), folder=tmp_path / "both",
                             cache=tmp_path / "cache")
    assert (result.dsp, result.bram, result.ff, result.lut) == (2, 0, 32, 0)  # the chain's 40 registers are not the design's
    assert set(result.fmax_by_seed) == {3, 4} and result.fmax_mhz == min(result.fmax_by_seed.values())
    assert 50 < result.fmax_mhz < 500 and 50 < result.estimate_mhz < 500
    assert (tmp_path / "both" / "scan.bit").stat().st_size > 10_000
    assert any("design." in line for line in result.critical_path)


def test_an_ice40_multiplies_in_logic(tmp_path):
    result = ice40.synthesise(SOURCE, top="both", clock="clk", device="hx1k", clock_mhz=50, seeds=(1,), folder=tmp_path / "both",
                              cache=tmp_path / "cache")
    assert (result.dsp, result.bram, result.ff) == (0, 0, 32)
    assert result.lut > 60 and 20 < result.fmax_mhz < 300
    assert (tmp_path / "both" / "scan.bin").stat().st_size > 10_000


def test_what_a_device_has_not_got_is_told_once_it_is_counted(tmp_path):
    with pytest.raises(DoesNotFit, match=r"hx1k is too small: the design needs lut \S+ of 1,280"):
        ice40.synthesise(SOURCE.replace("[7:0]", "[31:0]").replace("[15:0]", "[31:0]"), top="both", clock="clk", device="hx1k",
                         clock_mhz=50, folder=tmp_path / "both", cache=tmp_path / "cache")
    assert (tmp_path / "both" / "modules.csv").exists()


def test_the_chain_has_a_register_for_each_bit_of_the_ports():
    module, text = scan_chain(SOURCE, top="both", clock="clk")
    assert module == "both_scan"
    assert "reg [8:0] given;" in text and "reg [31:0] captured;" in text
    for connection in (".clk(clock)", ".a(given[7:0])", ".q(taken[15:0])", ".r(taken[31:16])"):
        assert connection in text


def test_a_chain_needs_the_clock():
    with pytest.raises(ValueError, match="clock must be an input of both, not 'aclk'"):
        scan_chain(SOURCE, top="both", clock="aclk")


def test_carries_and_memories_of_an_ecp5_take_luts():
    counted = ecp5.FAMILY.resources(Counter({"LUT4": 10, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "PFUMX": 4, "TRELLIS_FF": 7, "DP16KD": 1,
                                            "leaf": 9}), ["lut", "ff", "bram", "dsp"])
    assert counted == {"lut": 10 + 6 + 12, "ff": 7, "bram": 1, "dsp": 0}


def test_shift_registers_and_memories_of_a_7_series_take_luts():
    counted = xc7.resources(Counter({"LUT6": 5, "LUT1": 1, "INV": 1, "SRL16E": 2, "RAM32M": 1, "FDRE": 3, "RAMB18E1": 4, "MUXF7": 6}))
    assert {key: value for key, value in counted.items() if value} == {
        "lut": 7 + 2 + 4, "srl": 2, "lutram": 4, "ff": 3, "ramb18": 4, "muxf7": 6}


def test_the_smallest_device_that_has_room_is_found():
    needs = {"lut": 20_800, "ff": 100, "ramb36": 49, "ramb18": 2, "dsp": 90}
    assert xc7.smallest(needs) == "xc7a35t"
    assert xc7.smallest(needs | {"ramb18": 3}) == "xc7z020"  # 49 and a half pair
    assert xc7.smallest(needs | {"ramb36": 2_000}) is None


def test_the_slowest_path_is_told_in_the_designs_names():
    steps = [{"delay": 0.5, "type": "clk-to-q", "to": {"cell": "design.sum.total_TRELLIS_FF_Q_1"}},
             {"delay": 1.25, "type": "routing", "net": "design.sum.total[3]", "to": {"cell": "x"}}]
    report = {"critical_paths": [{"from": "<async>", "to": "posedge clk", "path": []}, {"from": "posedge clk", "to": "posedge clk", "path": steps}]}
    assert nextpnr.critical_path(report) == ("  0.50 clk-to-q design.sum.total", "  1.25 routing  design.sum.total[3]")


def test_an_unmapped_cell_is_an_error():
    with pytest.raises(ValueError, match=r"Yosys left a cell in top that no device has: \$mul"):
        areas.cells('{"modules": {"\\\\top": {"num_cells_by_type": {"LUT4": 1, "$mul": 2}}}}', "top")
