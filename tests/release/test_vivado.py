"""The attributes that Vivado infers interfaces by, and the script that packages the core."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from adagp_flows.release.vivado import SCRIPT, PackagerError, package_ip
from adagp_flows.synthesis.tools import Tool, find


@pytest.fixture
def packager():
    pytest.importorskip("_tkinter", reason="Python was built without tkinter")
    from .packager_standin import Packager
    return Packager()


@pytest.fixture
def other(release, tmp_path):
    """A copy of Verilog and script, to be changed."""
    for file in ("rtl/adagp.v", SCRIPT):
        (tmp_path / "other" / file).parent.mkdir(parents=True)
        shutil.copy(release / file, tmp_path / "other" / file)
    return tmp_path / "other"


def test_the_script_packages_the_core(release, packager, tmp_path):
    assert packager.run(release / SCRIPT, str(tmp_path / "new")) == "" and packager.saved
    assert set(packager.interfaces) == {"aclk", "aresetn", "irq", "s_axil", "m_axi"}
    mapped = [port for interface in packager.interfaces.values() for port in interface["ports"].values()]
    assert sorted(mapped) == sorted(packager.ports)
    assert packager.interfaces["aclk"]["parameters"] == {"ASSOCIATED_BUSIF": "s_axil:m_axi", "ASSOCIATED_RESET": "aresetn"}


def test_the_script_names_ports_that_are_there(release):
    named = set(re.findall(r"\b(?:s_axil|m_axi)_\w+", (release / SCRIPT).read_text()))
    declared = set(re.findall(r"^  (?:in|out)put (?:\[\d+:0\] )?(\w+) ?;$", (release / "rtl/adagp.v").read_text(), re.MULTILINE))
    assert named == {port for port in declared if port.startswith(("s_axil_", "m_axi_"))}


@pytest.mark.parametrize("old, new, message", [
    (r'(m_axi) AWADDR" ', r'\1 ARADDR" ', "port ARADDR of m_axi must be 'm_axi_araddr', and Vivado has 'm_axi_awaddr'"),
    ("signal:interrupt:1.0", "signal:data:1.0",
     "type of irq must be 'xilinx.com:signal:interrupt:1.0', and Vivado has 'xilinx.com:signal:data:1.0'"),
    (r"ASSOCIATED_BUSIF s_axil:m_axi", "ASSOCIATED_BUSIF s_axil",
     "ASSOCIATED_BUSIF of aclk must be 's_axil:m_axi', and Vivado has 's_axil'"),
    (r"  input (aresetn)", r"  output \1", "mode of aresetn must be 'slave', and Vivado has 'master'"),
    (r"  \(\* X_INTERFACE.*aclk.*\n", "", "number of interfaces must be '5', and Vivado has '4'")],
    ids=["port", "type", "parameter", "mode", "number"])
def test_another_interface_is_an_error(old, new, message, other, packager, tmp_path):
    verilog = other / "rtl/adagp.v"
    text, count = re.subn(old, new, verilog.read_text(), flags=re.MULTILINE)
    assert count in (1, 2)
    verilog.write_text(text)
    assert message in packager.run(other / SCRIPT, str(tmp_path / "new")) and not packager.saved


def test_the_folder_must_be_named_and_new(release, packager, tmp_path):
    assert "needs the folder of the IP repository" in packager.run(release / SCRIPT)
    assert f"must be new, and {tmp_path} is not" in packager.run(release / SCRIPT, str(tmp_path))


@pytest.fixture
def vivado(packager, tmp_path):
    """The stand-in as a tool."""
    program = tmp_path / "bin/vivado"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("packager_standin.py")}" "$@"\n')
    program.chmod(0o755)
    return Tool(name="vivado", command=str(program), version="none")


def test_the_first_error_of_vivado_is_told(vivado, other, tmp_path):
    package_ip(vivado, other, tmp_path / "new")
    verilog = other / "rtl/adagp.v"
    verilog.write_text(verilog.read_text().replace("POLARITY ACTIVE_LOW", "POLARITY ACTIVE_HIGH"))
    with pytest.raises(PackagerError, match="ERROR: POLARITY of aresetn must be 'ACTIVE_LOW', and Vivado has 'ACTIVE_HIGH'"):
        package_ip(vivado, other, tmp_path / "new")


@pytest.mark.skipif(shutil.which("vivado") is not None, reason="needs a machine without Vivado")
def test_a_missing_vivado_is_told_before_any_work(tmp_path):
    result = subprocess.run([sys.executable, "-m", "adagp.cli", "package", "--preset", "tiny", "--vivado-ip", "ip", "-o", "new"],
                            cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (
        2, "adagp package: vivado is not installed: it is AMD's, and has to be on PATH\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("vivado") is None, reason="needs Vivado")
def test_vivado_finds_the_interfaces(release, tmp_path):
    package_ip(find("vivado"), release, tmp_path / "new")
