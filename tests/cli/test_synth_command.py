"""``adagp synth`` as a user meets it."""

import json
from pathlib import Path

import pytest

from adagp import cli
from adagp_flows.synthesis import tools
from adagp_flows.synthesis.runs import PICTURE


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_an_element_is_synthesised_once_and_placed(capsys):
    options = ["synth", "--part", "element", "--targets", "xc7", "ecp5", "--seeds", "7", "-o", "out"]
    assert cli.main(options) == 0
    first = capsys.readouterr()
    assert first.out.endswith("written: out\n") and first.out.startswith("**7-series FPGA")
    assert "element for ecp5, 85k" in first.err and "ecp5 adagp_processing_element seed 7: done" in first.err
    entry = json.loads(Path("out/report.json").read_text())["designs"]["element"]
    assert entry["xc7"]["dsp"] == entry["ecp5"]["dsp"] == 1 and entry["xc7"]["ramb36"] == 0
    assert 200 < entry["xc7"]["lut"] < entry["ecp5"]["lut"] < 1000  # six inputs do more than four
    assert entry["ecp5"]["fmax_by_seed"].keys() == {"7"} and 40 < entry["ecp5"]["fmax_mhz"] < 300
    for file in ("tables.md", "element/xc7/netlist.v", "element/xc7/modules.csv", "element/ecp5/scan.bit", "element/ecp5/seed7/job.log"):
        assert Path("out", file).stat().st_size > 0
    assert not Path("out", PICTURE).exists()  # an element has no parts to be divided into
    assert cli.main(options) == 0
    second = capsys.readouterr()
    assert second.out == first.out and "done after" not in second.err  # nothing was run again


@pytest.mark.parametrize("options, message", [
    (["--targets", "asic"], "--targets must be xc7, ecp5, ice40, osu018, vivado or all, not 'asic'"),
    (["--designs", "huge"], "--designs must be baseline, low, efficient, max or all, not 'huge'"),
    (["--part", "lane"], "Subject.part must be one of machine, array, element, not 'lane'"),
    (["--device", "xc8"], "device of xc7 must be one of any, xc7a35t"),
    (["--device", "85k", "--targets", "ecp5", "--preset", "paper"], "85k has 156 multipliers, and the 180 elements of the arrays need one each"),
    (["--targets", "ice40", "--preset", "tiny"], "hx8k has 131,072 bits of block memory, and the memories need 393,216"),
    (["--device", "85k", "--targets", "ecp5", "ice40"], "--device is of one target, not of ecp5, ice40"),
    (["--clock", "0", "--targets", "ecp5"], "clock must be positive, not 0 MHz"),
    (["--seeds", "1", "1"], "seeds must be numbers that differ, not 1 1"),
    (["--rows", "1"], "AcceleratorConfig.rows must be an integer from 2 to 128, not 1")])
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_run(options, message, capsys):
    assert cli.main(["synth", *options]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and shown.err.count("\n") == 1 and shown.out == ""
    assert not Path("build").exists()


def test_a_missing_tool_is_refused_beforehand_with_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(tools.KINDS, "nextpnr-ecp5", tools._Kind(package="no-such-package", program="no-such-program"))
    monkeypatch.setenv("PATH", "/nowhere")
    tools.find.cache_clear()
    try:
        assert cli.main(["synth", "--targets", "ecp5", "--part", "element"]) == 2
    finally:
        tools.find.cache_clear()
    assert "is not installed: " in capsys.readouterr().err
    assert not Path("build").exists()
