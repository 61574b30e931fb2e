"""What is kept of a synthesis, and shown of it."""

import json
from collections import Counter

import pytest

from adagp_flows.synthesis import picture, report
from adagp_flows.synthesis.results import Cells, Ecp5, ModuleArea, Xc7

ZERO = dict.fromkeys(("ramb18", "srl", "lutram", "muxf7", "muxf8", "carry4"), 0)


def xc7(lut, **others):
    return Xc7(tools={"yosys": "yosys 1"}, device="any", lut=lut, **{"ff": 10, "ramb36": 0, "dsp": 2, **ZERO, **others})


def ecp5():
    return Ecp5(tools={"nextpnr-ecp5": "nextpnr 2"}, device="85k", fmax_mhz=90.0, fmax_by_seed={1: 90.0}, lut=1, ff=2, bram=3, dsp=4)


def test_a_partial_run_leaves_what_was_there(tmp_path):
    report.add(tmp_path, "baseline", "xc7", xc7(100))
    report.add(tmp_path, "max", "xc7", xc7(300))
    report.add(tmp_path, "baseline", "ecp5", ecp5())
    report.add(tmp_path, "baseline", "xc7", xc7(200))
    kept = json.loads((tmp_path / "report.json").read_text())
    assert set(kept) == {"tools", "designs"} and kept["tools"] == {"yosys": "yosys 1", "nextpnr-ecp5": "nextpnr 2"}
    assert {name: set(results) for name, results in kept["designs"].items()} == {"baseline": {"xc7", "ecp5"}, "max": {"xc7"}}
    assert (kept["designs"]["baseline"]["xc7"]["lut"], kept["designs"]["max"]["xc7"]["lut"]) == (200, 300)
    assert {"fmax_mhz", "lut", "ff", "bram", "dsp"} <= set(kept["designs"]["baseline"]["ecp5"])


def test_what_is_no_report_is_not_overwritten(tmp_path):
    (tmp_path / "report.json").write_text('{"runs": []}')
    with pytest.raises(ValueError, match="report.json must have tools and designs, not runs"):
        report.add(tmp_path, "baseline", "xc7", xc7(1))


def row(text, *beginning):
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[:len(beginning)] == list(beginning):
            return cells[len(beginning):]
    raise AssertionError(f"no row {beginning} in\n{text}")


def test_the_papers_figures_and_ratios_are_beside_ours(tmp_path):
    report.add(tmp_path, "baseline", "xc7", xc7(236_002))
    text = report.text(report.add(tmp_path, "max", "xc7", xc7(247_040)))
    assert row(text, "LUT", "baseline") == ["236,002", "472,004", "0.50", "", ""]
    assert row(text, "LUT", "max") == ["247,040", "494,080", "0.50", "+4.7%", "+4.7%"]
    assert row(text, "DSP", "max") == ["2", "246", "0.01", "+0.0%", "+48.2%"]
    assert "Table 5" not in text and not any(line.startswith("| W ") for line in text.splitlines())


def test_power_of_the_papers_cells_is_in_watts(tmp_path):
    cells = Cells(tools={}, library="osu018", clock_ns=5, area_um2=5_965_382.0, slack_ns=0.25, power_w=0.448, cells=1, ff=1, memory_bits=0)
    text = report.text(report.add(tmp_path, "baseline", "osu018", cells))
    assert row(text, "W", "baseline") == ["0.448", "0.224", "2.00", "", ""]
    assert row(text, "area µm²", "baseline")[:3] == ["5,965,382", "2,982,691", "2.00"]


def test_a_design_that_no_device_has_room_for_is_told(tmp_path):
    text = report.text(report.add(tmp_path, "max", "xc7", xc7(100, ramb36=4_198)))
    assert row(text, "max")[:2] == ["none has room", "100"]


def test_other_sizes_are_not_compared_with_the_paper(tmp_path):
    text = report.text(report.add(tmp_path, "small-baseline", "xc7", xc7(100)))
    assert "Table 4" not in text and row(text, "small-baseline")[:2] == ["xc7a35t", "100"]


MODULES = (
    ModuleArea(module="t", instances=1, own={"lut": 5}, total={"lut": 5 + 30 + 2 * 8 + 4}, children={"t_engine": 1, "t_stream": 2, "t_a": 1}),
    ModuleArea(module="t_engine", instances=1, own={"lut": 10}, total={"lut": 30}, children={"t_processing_element": 2}),
    ModuleArea(module="t_processing_element", instances=2, own={"lut": 7}, total={"lut": 10}, children={"t_sum": 1}),
    ModuleArea(module="t_sum", instances=2, own={"lut": 3}, total={"lut": 3}),
    ModuleArea(module="t_stream", instances=2, own={"lut": 8}, total={"lut": 8}), ModuleArea(module="t_a", instances=1, own={"lut": 4}, total={"lut": 4}))


def test_elements_are_not_counted_twice():
    found = picture.shares(MODULES, "lut")
    assert found == Counter({picture.ELEMENTS: 20, "engine": 10, "operand memories": 16, "a": 4, "top": 5})
    assert sum(found.values()) == MODULES[0].total["lut"]
