"""Vivado's project and reports. The reports are written after the formats that AMD documents (UG906, UG907), not by Vivado."""

import sys
from pathlib import Path

import pytest

from adagp.spec.config import preset
from adagp_flows.synthesis import tools, vivado
from adagp_flows.synthesis.jobs import JobError
from adagp_flows.synthesis.subject import Subject, Verilog
from adagp_flows.synthesis.vivado import ProjectError, ReportError, parse_power, parse_timing, parse_utilisation

REPORTS = Path(__file__).with_name("vivado_reports")
BLINKER = """\
module blinker(aclk, lamp);
  input aclk;
  output reg lamp;
  always @(posedge aclk) lamp <= ~lamp;
endmodule
"""
CLOCK = "create_clock -name aclk -period 5.000 [get_ports aclk]\n"


def report(name: str) -> str:
    return (REPORTS / name).read_text()


@pytest.fixture
def fake_vivado(monkeypatch, tmp_path):
    """The stand-in, with the reports that Vivado would write; a run is a line in the file that is returned."""
    pytest.importorskip("tkinter")
    runs, program = tmp_path / "runs", tmp_path / "bin" / "vivado"
    program.parent.mkdir()
    standin = Path(vivado.__file__).with_name("vivado_standin.py")
    program.write_text(f"""#!/bin/sh
[ "$1" = -version ] && echo "vivado v2024.1 (64-bit)" && exit
echo run >> {runs}
"{sys.executable}" {standin} "$@" || exit 1
case "$*" in *report.tcl*) cp {REPORTS}/* . ;; esac
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    tools.find.cache_clear()
    yield runs
    tools.find.cache_clear()


def test_utilisation_counts_sites():
    assert parse_utilisation(report("utilization.rpt")) == {
        "lut": 98765, "ff": 54321, "ramb36": 140, "ramb18": 13, "dsp": 196, "srl": 3565, "lutram": 1200, "muxf7": 2222,
        "muxf8": 333, "carry4": 7654}


def test_utilisation_without_a_site_is_refused():
    with pytest.raises(ReportError, match="the utilisation report must have a row RAMB18"):
        parse_utilisation(report("utilization.rpt").replace("  RAMB18 ", "  RAMB9  "))


def test_frequency_is_that_of_the_clock_with_the_worst_path():
    met = parse_timing(report("timing.rpt"))
    assert met.fmax_mhz == pytest.approx(1000 / 10.25) and met.hold_slack_ns == 0.041


def test_timing_without_constrained_paths_is_refused():
    without = "".join(line for line in report("timing.rpt").splitlines(keepends=True) if "-0.250" not in line and " 30.000" not in line)
    with pytest.raises(ReportError, match="the timing report must have a clock with setup and hold paths"):
        parse_timing(without)


def test_power_is_the_total():
    assert parse_power(report("power.rpt")) == 1.234
    with pytest.raises(ReportError, match="the power report must have a row Total On-Chip Power"):
        parse_power(report("power.rpt").replace("Total", "Whole"))


@pytest.mark.parametrize("bitstream", [False, True])
def test_project_passes_its_rehearsal(bitstream):
    pytest.importorskip("tkinter")
    project = vivado.project({"blinker.v": BLINKER, "clock.xdc": CLOCK}, top="blinker", bitstream=bitstream)
    assert "were checked" in vivado.rehearse(project)


def test_constraints_of_the_machine_name_its_ports():
    pytest.importorskip("tkinter")
    project = vivado.out_of_context(Subject(name="tiny", config=preset("tiny")).verilog)
    assert "were checked" in vivado.rehearse(project)


def test_the_clock_is_constrained_as_it_is_called():
    element = Verilog(text=BLINKER.replace("aclk", "clk"), top="blinker", clock="clk")
    constraints = vivado.out_of_context(element, clock_mhz=160).files["vc707.xdc"]
    assert "create_clock -name clk -period 6.250 [get_ports clk]" in constraints and "aclk" not in constraints


@pytest.mark.parametrize(("verilog", "constraints", "top", "why"), [
    (BLINKER, "set_property LOC E19 [get_ports clk]", "blinker", "the top blinker has no port clk"),
    (BLINKER, "create_clocks [get_ports aclk]", "blinker", 'invalid command name "create_clocks"'),
    (BLINKER, "create_clock [get_ports aclk", "blinker", "clock.xdc: missing close-bracket"),
    (BLINKER, CLOCK, "blinkr", "no Verilog file has the top blinkr")])
def test_rehearsal_finds(verilog, constraints, top, why):
    pytest.importorskip("tkinter")
    with pytest.raises(ProjectError, match=why):
        vivado.rehearse(vivado.project({"blinker.v": verilog, "clock.xdc": constraints}, top=top))


def test_rehearsal_finds_a_file_that_is_not_there():
    pytest.importorskip("tkinter")
    project = vivado.project({"blinker.v": BLINKER, "clock.xdc": CLOCK}, top="blinker")
    script = project.files["machine.tcl"].replace("read_verilog {blinker.v}", "read_verilog {blinkers.v}")
    with pytest.raises(ProjectError, match="there is no file blinkers.v"):
        vivado.rehearse(vivado.Project(part=project.part, files={**project.files, "machine.tcl": script}, outputs=project.outputs))


def test_a_source_called_like_a_file_of_the_project_is_refused():
    with pytest.raises(ValueError, match="sources must not be called machine.v, as files of the project are"):
        vivado.project({"machine.v": BLINKER}, top="blinker")


def test_without_vivado_the_project_is_left_for_it(no_vivado, tmp_path):
    project = vivado.out_of_context(Verilog(text=BLINKER, top="blinker", clock="aclk"))
    with pytest.raises(tools.MissingTool, match=f"vivado is not installed: .* its project is in {tmp_path}"):
        vivado.implement(project, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict(project.files)


def test_result_is_what_the_reports_say(fake_vivado, tmp_path):
    project = vivado.project({"blinker.v": BLINKER, "clock.xdc": CLOCK}, top="blinker", bitstream=True)
    result = vivado.implement(project, tmp_path / "vivado")
    assert (result.device, result.lut, result.ramb36, result.dsp) == ("xc7vx485t", 98765, 140, 196)
    assert result.fmax_mhz == pytest.approx(97.561, abs=0.001) and result.power_w == 1.234
    assert result.tools["vivado"] == "vivado v2024.1 (64-bit)"
    assert (tmp_path / "vivado" / vivado.BITSTREAM).exists()
    before = fake_vivado.read_text()
    assert vivado.implement(project, tmp_path / "vivado") == result and fake_vivado.read_text() == before


def test_a_missed_hold_time_is_a_failure(fake_vivado, tmp_path, monkeypatch):
    monkeypatch.setattr(vivado, "parse_timing", lambda text: parse_timing(text.replace(" 0.041 ", "-0.041 ")))
    project = vivado.project({"blinker.v": BLINKER, "clock.xdc": CLOCK}, top="blinker")
    with pytest.raises(JobError, match="a path misses its hold time by 0.041 ns"):
        vivado.implement(project, tmp_path / "vivado")
