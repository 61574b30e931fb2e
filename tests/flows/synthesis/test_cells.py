"""Standard cells: areas against counts by hand, paths and power as OpenSTA reports them."""

import shutil

import pytest

from adagp_flows.synthesis import cells
from adagp_flows.synthesis.activity import Annotations
from adagp_flows.synthesis.cell_netlist import CellNetlist
from adagp_flows.synthesis.cells import (mapped_alone, outputs_of_flip_flops, parse_path, parse_power, power_job,
                                         synthesise)
from adagp_flows.synthesis.jobs import JobError, run
from adagp_flows.synthesis.liberty import parse
from adagp_flows.synthesis.modules import Hierarchy
from adagp_flows.synthesis.power_view import power_view
from adagp_flows.synthesis.tools import MissingTool, find

with_tools = pytest.mark.skipif(not (shutil.which("sta") and (cells.LIBRARY / cells.LIBERTY).exists()),
                                reason="OpenSTA (package opensta) or osu018 (package qflow-tech-osu018) is not installed")

REPORT = """Startpoint: \\row[1]/_12_ (rising edge-triggered flip-flop clocked by clock)
Endpoint: y (output port clocked by clock)

    Delay      Time   Description
-------------------------------------------------------------
   0.0000    0.0000   clock clock (rise edge)
   0.0000    0.0000 ^ \\row[1]/_12_/CLK (DFFPOSX1)
   0.2500    0.2500 v \\row[1]/_12_/Q (DFFPOSX1)
   0.1250    0.3750 ^ \\row[1]/_07_/Y (NAND2X1)
   0.0000    0.3750 ^ y (out)
             0.3750   data arrival time

   5.0000    5.0000   clock clock (rise edge)
  -0.2000    4.8000   output external delay
             4.4250   slack (MET)
"""
NETLIST = """module top(clk, y);
  input clk;
  output y;
  row \\row[1]  (
    .clk(clk),
    .y(y)
  );
endmodule
module row(clk, y);
  input clk;
  output y;
  DFFPOSX1 _12_ (
    .CLK(clk),
    .D(y),
    .Q(\\state.sum[3] )
  );
  NAND2X1 _07_ (
    .A(\\state.sum[3] ),
    .B(\\state.sum[3] ),
    .Y(y)
  );
endmodule
"""


def test_path_names_register_bits_and_cells():
    slack, path = parse_path(REPORT, CellNetlist(NETLIST, "top"), {"DFFPOSX1": "Q"})
    assert slack == 4.425
    assert path == ("from row[1]/state.sum[3]", "DFFPOSX1 0.250 ns", "NAND2X1 0.125 ns", "to y")


def test_power_is_the_total_of_the_groups():
    log = "Combinational  1.0e-03 2.0e-03 1.0e-09 3.0e-03 100.0%\nTotal          1.5e-03 2.0e-03 1.0e-09 3.5e-03 100.0%\n"
    assert parse_power(log) == {"internal": 1.5e-3, "switching": 2e-3, "leakage": 1e-9, "total": 3.5e-3}


@pytest.mark.parametrize("read", [parse_power, lambda log: parse_path(log, CellNetlist(NETLIST, "top"), {})])
def test_a_report_without_figures_shows_its_error(read):
    with pytest.raises(JobError, match="Error: cell X not found"):
        read("reading\nError: cell X not found\n")


def test_a_missing_library_says_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(cells, "LIBRARY", tmp_path)
    with pytest.raises(MissingTool, match="osu018 is not installed: Debian's package qflow-tech-osu018"):
        cells.library()


LEAF = """module leaf(clk, a, y);
  input clk;
  wire clk;
  input a;
  wire a;
  output y;
  reg y;
  always @(posedge clk) y <= a;
endmodule
"""
CHAIN = "module chain(clk, a, y);\n  input clk;\n  input a;\n  output y;\n  wire [3:0] between;\n" + "".join(
    f"  leaf leaf{i} (\n    .clk(clk),\n    .a({f'between[{i - 1}]' if i else 'a'}),\n"
    f"    .y({f'between[{i}]'})\n  );\n" for i in range(4)) + "  assign y = between[3];\nendmodule\n"
WRAP = """module wrap(clk, a, y);
  input clk;
  input a;
  output y;
  chain inner (
    .clk(clk),
    .a(a),
    .y(y)
  );
endmodule
"""
TOP = """module top(clk, address, write, data, y);
  input clk;
  input [2:0] address;
  input write;
  input [3:0] data;
  output [1:0] y;
  reg [3:0] words [7:0];
  reg [3:0] read;
  always @(posedge clk) begin
    if (write) words[address] <= data;
    read <= words[address];
  end
  wrap first (
    .clk(clk),
    .a(read[0]),
    .y(y[0])
  );
  wrap second (
    .clk(clk),
    .a(read[1]),
    .y(y[1])
  );
endmodule
"""


def test_repeated_modules_and_parts_of_the_top_are_mapped_alone():
    units = mapped_alone(Hierarchy.of(LEAF + CHAIN + WRAP + TOP, "top"))
    assert units.instances == {"top": 1, "wrap": 2, "leaf": 8}
    assert units.modules["wrap"].children == {"leaf": 4}
    assert "module chain" in units.modules["wrap"].text and "module leaf" not in units.modules["wrap"].text
    assert "module chain" not in units.source("top") and "input a;" in units.source("top")


def test_without_repetition_all_is_mapped_together():
    units = mapped_alone(Hierarchy.of(LEAF + WRAP.replace("chain", "leaf"), "wrap"))
    assert list(units.modules) == ["wrap"]


@with_tools
def test_areas_are_those_of_the_cells(tmp_path):
    result = synthesise(LEAF + CHAIN + WRAP + TOP, top="top", clock="clk", folder=tmp_path / "top", cache=tmp_path / "cache")
    leaf = next(each for each in result.modules if each.module == "leaf")
    assert leaf.own["ff"] == 1 and leaf.own["area_um2"] == 96  # DFFPOSX1, 9.6 µm by 10 µm
    assert (result.ff, result.memory_bits) == (8, 32)
    assert result.area_um2 == 8 * leaf.own["area_um2"] + sum(
        each.own["area_um2"] * each.instances for each in result.modules if each.module != "leaf")
    assert 0 < result.slack_ns < 5 and result.power_w is None and result.activity is None


@with_tools
def test_a_shorter_period_has_less_slack(tmp_path):
    slow, fast = (synthesise(LEAF, top="leaf", clock="clk", clock_ns=period, folder=tmp_path / str(period), cache=tmp_path / "cache")
                  for period in (5.0, 3.0))
    assert slow.slack_ns - fast.slack_ns == pytest.approx(2)
    assert slow.fmax_mhz == pytest.approx(fast.fmax_mhz)


UNIT = """module unit(clk, a, y);
  input clk;
  wire clk;
  input a;
  wire a;
  output y;
  wire y;
  wire q;
  DFFPOSX1 f (
    .CLK(clk),
    .D(a),
    .Q(q)
  );
  INVX1 i (
    .A(q),
    .Y(y)
  );
endmodule
"""


@with_tools
@pytest.mark.parametrize("transitions", [0, 0.25, 1.0])
def test_power_is_what_the_library_says_by_hand(tmp_path, transitions):
    noted = Annotations(lines=(f"toggle {{f/ACTIVITY}} {transitions} 0.5", "toggle_input {a} 0 0"), bits=1, unknown=0)
    described = parse(cells.library())
    job = power_job(CellNetlist(UNIT, "unit"), power_view(described, transition_ns=0.06), find("sta"), noted, clock="clk", clock_ns=4.0)
    power = parse_power(run(job, tmp_path / "power").log)
    # From the file, in pJ, at an input transition of 0.06 ns, rise and fall: DFFPOSX1's clock pin; its output, between
    # loads of 5 fF and of 12.5 fF; INVX1's output without load, for which the table's least load, 5 fF, counts.
    clock = 0.006865 + 0.11034 + 0.0279235 * 1.8**2
    share = (0.00932456 - 0.005) / (0.0125 - 0.005)
    output = pin_energy(described, "DFFPOSX1", "Q", 0) * (1 - share) + pin_energy(described, "DFFPOSX1", "Q", 1) * share
    inverter = (0.009213 + 0.023555) / 2
    assert power["internal"] == pytest.approx((clock + transitions * (output + inverter)) * 1e-12 / 4e-9, rel=1e-3)
    assert power["switching"] == pytest.approx(0.5 * 0.00932456e-12 * 1.8**2 * transitions / 4e-9, rel=1e-3)
    assert power["leakage"] == pytest.approx((0.160725 + 0.0221741) * 1e-9, rel=1e-3)


@with_tools
def test_an_error_of_opensta_is_an_error(tmp_path):
    noted = Annotations(lines=("toggle {g/ACTIVITY} 0.5 0.5",), bits=1, unknown=0)
    job = power_job(CellNetlist(UNIT, "unit"), power_view(parse(cells.library())), find("sta"), noted, clock="clk", clock_ns=4.0)
    with pytest.raises(JobError, match="power of unit failed:(.|\n)*Error: there is no pin g/ACTIVITY"):
        run(job, tmp_path / "power")


def pin_energy(described, cell, pin, load):
    """Mean of rise and fall in the first column of the tables, as text of the file."""
    groups = next(each for each in described.of("cell") if each.name == cell).of("pin")
    power = next(each for each in groups if each.name == pin).of("internal_power")[0]
    return sum(float(table.attributes["values"][load].split(",")[0]) for table in power.groups) / 2


def test_flip_flops_are_found_with_their_outputs():
    described = parse('library (l) { cell (D) { ff (IQ, IQN) { clocked_on : "C"; } pin (C) { direction : input; } '
                      'pin (Q) { direction : output; } } cell (I) { pin (Y) { direction : output; } } }')
    assert outputs_of_flip_flops(described) == {"D": "Q"}


RESET = """module part(clk, rst, y);
  input clk;
  input rst;
  output [31:0] y;
  reg [31:0] y;
  always @(posedge clk) if (rst) y <= 0; else y <= ~y;
endmodule
"""


@with_tools
def test_reset_is_no_path(tmp_path):
    reset, other = (synthesise(RESET.replace("rst", name), top="part", clock="clk", folder=tmp_path / name, cache=tmp_path / "cache")
                    for name in ("rst", "other"))
    assert other.critical_path[0] == "from other" and reset.critical_path[0].startswith("from y[")
    assert reset.slack_ns > other.slack_ns
