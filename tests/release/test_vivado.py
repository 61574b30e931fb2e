"""The attributes that Vivado infers interfaces by, and the script that packages the core."""

import re
import shutil
import subprocess

import pytest

SCRIPT = "vivado/package_ip.tcl"


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


@pytest.mark.skipif(shutil.which("vivado") is None, reason="needs Vivado")
def test_vivado_finds_the_interfaces(release, tmp_path):
    command = ["vivado", "-mode", "batch", "-nojournal", "-nolog", "-source", release / SCRIPT, "-tclargs", tmp_path / "new"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr
