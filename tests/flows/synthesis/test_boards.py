"""What boards are loaded with. Their netlists are made around a machine that only echoes what it receives."""

import re
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import pytest
from amaranth.back import rtlil

from adagp.spec.config import preset
from adagp_flows.synthesis.boards import BOARDS, build, flow
from adagp_flows.synthesis.boards.clocks import Ecp5Clock, Series7Clock
from adagp_flows.synthesis.boards.top import SYSTEM
from adagp_flows.synthesis.devices import DoesNotFit
from adagp_flows.synthesis.jobs import JobError
from adagp_flows.synthesis.subject import Subject
from adagp_hdl.bridge.memory import LEAST_BYTES
from adagp_hdl.bridge.uart import divisor

ECHO = f"""\
module {SYSTEM}(clk, rst, rx, tx, irq, busy);
  input clk;
  input rst;
  input rx;
  output tx;
  output irq;
  output busy;
  reg last;
  always @(posedge clk) last <= rst ? 1'b1 : rx;
  assign tx = last;
  assign irq = rst;
  assign busy = ~last;
endmodule
"""


@cache
def files(board: str) -> dict[str, str]:
    return flow.prepare(BOARDS[board], BOARDS[board].clock(BOARDS[board].clock_hz), ECHO)


def described(**rest) -> flow.BoardBuild:
    return flow.BoardBuild(board="", memory_bytes=0, bits_per_second=0, clock_mhz=0, **rest)


@pytest.mark.parametrize(("name", "mhz", "rate"), [
    ("ulx3s", 25, 1_000_000), ("ulx3s", 12.5, 500_000), ("ulx3s", 37.5, 1_000_000), ("vc707", 100, 921_600), ("vc707", 200, 921_600)])
def test_serial_line_has_the_highest_rate_that_the_clock_gives(name, mhz, rate):
    assert BOARDS[name].bits_per_second(mhz * 1e6) == rate
    assert rate * divisor(mhz * 1e6, rate) == pytest.approx(mhz * 1e6, rel=0.02)


@pytest.mark.parametrize("name", BOARDS)
def test_memory_is_the_largest_that_fits(name):
    board, subject = BOARDS[name], Subject(name="", config=preset("tiny"))
    size, taken = board.memory_bytes(subject), 2 * (8192 + 8192) + 4 * 4 * 1024
    assert size >= LEAST_BYTES and size & (size - 1) == 0
    assert size + taken <= board.block_bytes < 2 * size + taken + board.block_bytes / 8


def test_boards_have_the_block_memory_of_their_devices():
    assert BOARDS["ulx3s"].block_bytes == 208 * 2048 and BOARDS["vc707"].block_bytes == 1030 * 4096


def test_what_cannot_fit_is_refused(tmp_path):
    with pytest.raises(DoesNotFit, match="85k has 156 multipliers, and the 180 elements of the arrays need one each"):
        build("ulx3s", preset("paper"), tmp_path)
    with pytest.raises(ValueError, match="config must leave 4,096 of the board's 425,984 bytes of block memory, but its own "
                                         "memories have 393,216"):
        build("ulx3s", replace(preset("tiny"), stream_elements=1 << 17, stationary_elements=1 << 15, vector_words=1 << 12), tmp_path)
    for size in (1 << 19, 5000, 2048, 0):
        with pytest.raises(ValueError, match=f"memory_bytes must be a power of two from 4096 to 262144 on the ulx3s .*, not {size}"):
            build("ulx3s", preset("tiny"), tmp_path, memory_bytes=size)
    with pytest.raises(ValueError, match="board must be one of ulx3s, vc707, not 'de10'"):
        build("de10", preset("tiny"), tmp_path)


@pytest.mark.parametrize("mhz", [12.5, 25, 37.5, 50, 75])
def test_ecp5_clock_is_what_was_asked_for(mhz):
    """25 MHz divided, and times the feedback's divider, from an oscillator of 400 to 800 MHz (Lattice FPGA-TN-02200)."""
    text = rtlil.convert(Ecp5Clock(25e6, mhz * 1e6))
    parameters = {name: int(value) for name, value in re.findall(r"parameter \\(CLK\w+_DIV) (\d+)", text)}
    assert 25 / parameters["CLKI_DIV"] * parameters["CLKFB_DIV"] == mhz
    assert 400 <= mhz * parameters["CLKOP_DIV"] <= 800


def test_clocks_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match=r"Ecp5Clock.hz_out must be a multiple of 1.25e\+07, not 6e\+07"):
        Ecp5Clock(25e6, 60e6)
    with pytest.raises(ValueError, match=r"Series7Clock.hz_in must divide 1e\+09, not 1.5625e\+08"):
        Series7Clock(156.25e6, 100e6)


def test_series_7_clock_is_that_of_the_board():
    """200 MHz times a multiplier, an oscillator of 600 to 1440 MHz (AMD DS183), through a divider."""
    parameters = {name: float(value) for name, value in re.findall(r"\.(CLK\w+_F)\(([\d.]+)\)", files("vc707")["top.v"])}
    oscillator = 200e6 * parameters["CLKFBOUT_MULT_F"]
    assert oscillator / parameters["CLKOUT0_DIVIDE_F"] == BOARDS["vc707"].clock_hz and 600e6 <= oscillator <= 1440e6


def test_a_clock_that_is_not_reached_is_a_failure(monkeypatch, tmp_path):
    slow = SimpleNamespace(fmax_mhz=24.9)
    monkeypatch.setattr(flow, "_ecp5", lambda device, files, folder, described: described(result=slow, bitstream=tmp_path, missing=None))
    monkeypatch.setattr(flow, "convert", lambda component, *, name: ECHO)
    with pytest.raises(JobError, match="ulx3s reaches 24.9 MHz, not 25: ask for a lower clock"):
        build("ulx3s", preset("tiny"), tmp_path)
    assert build("ulx3s", preset("tiny"), tmp_path, clock_mhz=12.5).clock_mhz == 12.5


def test_ulx3s_gets_a_bitstream(tmp_path):
    made = flow._ecp5(BOARDS["ulx3s"].device, files("ulx3s"), tmp_path, described)
    assert made.missing is None and made.result.fmax_mhz > BOARDS["ulx3s"].clock_hz / 1e6
    assert b"LFE5U-85F" in made.bitstream.read_bytes()[:200]
    assert (made.result.ff, made.result.dsp, made.result.bram) == (1, 0, 0)
    placed = (made.bitstream.parent / "top.config").read_text()
    assert "CLKFB_DIV" in placed


def test_vc707_gets_a_netlist_and_a_project(no_vivado, tmp_path):
    made = flow._series7(BOARDS["vc707"].device, files("vc707"), tmp_path, described)
    assert made.bitstream is None and f"its project is in {tmp_path / 'vivado'}" in made.missing
    assert (made.result.ff, made.result.dsp, made.result.ramb36) == (1, 0, 0)
    cells = re.findall(r"\(cellRef (\w+)", (tmp_path / "netlist" / "top.edif").read_text())
    assert {cell: cells.count(cell) for cell in ("IBUFDS", "MMCME2_BASE", "BUFG", SYSTEM, "FDRE", "FDSE")} == {
        "IBUFDS": 1, "MMCME2_BASE": 1, "BUFG": 1, SYSTEM: 1, "FDRE": 0, "FDSE": 1}
