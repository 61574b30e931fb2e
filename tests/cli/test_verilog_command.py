"""``adagp verilog`` as a user meets it."""

import re
import subprocess
import sys

import pytest


def adagp(*arguments, folder):
    return subprocess.run([sys.executable, "-m", "adagp.cli", *arguments], cwd=folder,
                          capture_output=True, text=True, check=False)


def test_writes_one_top_with_its_buses(tmp_path):
    result = adagp("verilog", "--design", "low", "--preset", "tiny", "--rows", "3", "-o", "out", folder=tmp_path)
    assert (result.returncode, result.stdout) == (0, "out/adagp_low_3x4.v\n"), result.stderr
    text = (tmp_path / "out/adagp_low_3x4.v").read_text()
    tops = [module for module in re.findall(r"^module ([^\s(]+)", text, re.MULTILINE)
            if not re.search(rf"^\s+{re.escape(module)} ", text, re.MULTILINE)]
    assert len(tops) == 1
    for port in ("aclk", "aresetn", "irq", "s_axil_awvalid", r"\[63:0\] m_axi_wdata", r"\[31:0\] m_axi_araddr"):
        assert re.search(rf"^\s*(input|output) (wire |reg )?{port}[;,]", text, re.MULTILINE), port


@pytest.mark.parametrize("arguments, message", [
    (["verilog", "--rows", "1"], "AcceleratorConfig.rows must be an integer from 2 to 128, not 1"),
    (["verilog", "--bus-bits", "96"], "AcceleratorConfig.bus_bits must be 64, 128, 256 or 512, not 96"),
    (["verilog", "--burst-beats", "3"], "AcceleratorConfig.burst_beats must be a power of two"),
    (["verilog", "--preset", "huge"], "invalid choice: 'huge'"),
    (["verilog", "--preset", "tiny", "-o", "file/inside"], "Not a directory"),
    (["paint"], "invalid choice: 'paint'")])
def test_user_errors_are_one_line(arguments, message, tmp_path):
    (tmp_path / "file").write_text("")
    result = adagp(*arguments, folder=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    assert message in result.stderr and result.stderr.count("\n") == 1
