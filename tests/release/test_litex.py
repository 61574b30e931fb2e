"""A release in LiteX: its core and its example, by a Python that has LiteX and the folder, far from this project."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from adagp_flows.soc import litex_system
from adagp_flows.soc.run import BATCHES, check, golden, simulate
from adagp_tb.verilator import BuildError

from .conftest import CONFIG

pytestmark = pytest.mark.xdist_group("litex")  # the simulator is compiled once

WAIVERS = """\
`verilator_config
lint_off -file "*/picorv32.v"
lint_off -rule COMBDLY -file "adagp_soc.v"
lint_off -rule PROCASSINIT -file "adagp_soc.v"
lint_off -rule CASEINCOMPLETE -file "adagp_soc.v"
lint_off -rule UNUSEDSIGNAL -file "adagp_soc.v"
lint_off -rule WIDTHEXPAND -file "adagp_soc.v" -match "Operator *"
lint_off -rule WIDTHEXPAND -file "adagp_soc.v" -match "*'pcpi_*"
lint_off -rule WIDTHTRUNC -file "adagp_soc.v" -match "Operator *"
lint_off -rule PINMISSING -file "adagp_soc.v" -match "*'trace_*"
"""
"""How LiteX writes Verilog, and what it leaves open of PicoRV32. Ports of the core stay under all rules."""


@pytest.fixture(scope="module")
def system(release, tmp_path_factory):
    folder = tmp_path_factory.mktemp("litex")
    litex_system.elaborate(release, folder)
    return folder


@pytest.fixture
def other(release, tmp_path):
    """A copy of the release, to be changed."""
    return shutil.copytree(release, tmp_path / "other")


def change(release, edit):
    """Lets ``edit`` change the manifest."""
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def test_the_system_lints(system, tools):
    (system / "waivers.vlt").write_text(WAIVERS)
    command = ["verilator", "-Wall", "--lint-only", "--top-module", "adagp_soc", "waivers.vlt",
               *map(str, litex_system.sources(system))]
    command[command.index(str(system / "adagp_soc.v"))] = "adagp_soc.v"
    result = tools(command, system)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


def test_software_finds_registers_and_interrupt(system):
    assert re.search(r"#define ADAGP_SIZE 0x0*1000$", (system / "generated/mem.h").read_text(), re.MULTILINE)
    assert re.search(r"#define ADAGP_INTERRUPT \d+$", (system / "generated/soc.h").read_text(), re.MULTILINE)


def test_firmware_trains_to_the_golden_bits(release, system):
    outcome = simulate(litex_system.simulator(system), litex_system.firmware(release, system, batches=BATCHES),
                       release / "image/image.hex")
    polling, interrupt = check(outcome, *golden(CONFIG, release, BATCHES))
    assert polling.batches["GP"] == interrupt.batches["GP"] == 6 and polling.changed_words > 100


def test_widths_are_those_of_the_manifest(other, tmp_path):
    def widen(manifest):
        for port, width in (("m_axi_wdata", 256), ("m_axi_rdata", 256), ("m_axi_wstrb", 32)):
            manifest["ports"][port]["width"] = width

    change(other, widen)
    litex_system.elaborate(other, tmp_path / "system")
    verilog = (tmp_path / "system/adagp_soc.v").read_text()
    data, strobes = (re.search(rf"\.m_axi_{port}\s*\((\w+)\)", verilog)[1] for port in ("wdata", "wstrb"))
    assert re.search(rf"^wire +\[255:0\] +{data};", verilog, re.MULTILINE)
    assert re.search(rf"^wire +\[31:0\] +{strobes};", verilog, re.MULTILINE)


_SOC = """
import sys
from adagp_litex import add_adagp
from litex.build.generic_platform import GenericPlatform, Pins
from litex.soc.integration.soc_core import SoCCore
from migen.genlib.io import CRG

platform = GenericPlatform("", [("clk", 0, Pins(1))], name="soc")

def soc(**options):
    soc = SoCCore(platform, int(100e6), cpu_type=None, with_uart=False, **options)
    soc.crg = CRG(platform.request("clk"))
    return soc

def write(soc):
    soc.finalize()
    platform.get_verilog(soc, name="soc").write("soc.v")
"""
BUSES = _SOC + """
soc = soc(integrated_main_ram_size=0x1000, bus_standard=sys.argv[1], bus_data_width=int(sys.argv[2]))
core = add_adagp(soc, name="trainer", origin=0x9000_0000)
write(soc)
print(hex(soc.mem_regions["trainer"].origin), soc.trainer is core, *soc.bus.masters)
"""
LITEDRAM = _SOC + """
from litedram.frontend.axi import LiteDRAMAXI2Native
from litedram.modules import MT41K64M16
from litedram.phy.model import SDRAMPHYModel

soc = soc()
module = MT41K64M16(100e6, "1:4")
soc.phy = SDRAMPHYModel(module, data_width=16, clk_freq=100e6)
soc.add_sdram("sdram", phy=soc.phy, module=module, l2_cache_size=0)
core = add_adagp(soc, origin=0x9000_0000, with_bus_master=False)
port = soc.sdram.crossbar.get_port(data_width=core.m_axi.data_width)
soc.memory = LiteDRAMAXI2Native(core.m_axi, port, base_address=soc.bus.regions["main_ram"].origin)
write(soc)
print(*soc.bus.masters)
"""


def python(script, *arguments, release, folder):
    """What ``script`` prints in ``folder``, in a Python that has LiteX and the release; ``soc.v`` has the core's master."""
    result = subprocess.run([sys.executable, "-Bc", script, *arguments], cwd=folder, env={"PYTHONPATH": str(release / "litex")},
                            capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    assert (folder / "soc.v").read_text().count(".m_axi_awaddr") == 1
    return result.stdout


@pytest.mark.parametrize("bus, bits", [("wishbone", 64), ("axi-lite", 32), ("axi", 64)])
def test_other_buses_take_the_core_without_a_processor(bus, bits, release, tmp_path):
    assert python(BUSES, bus, str(bits), release=release, folder=tmp_path) == "0x90000000 True trainer\n"


def test_litedram_takes_the_master(release, tmp_path):
    assert python(LITEDRAM, release=release, folder=tmp_path) == "\n"


@pytest.mark.parametrize("edit, message", [
    (lambda manifest: manifest.clear(), "must say ports with direction and width and the SHA-256 of rtl/adagp.v, but: KeyError('ports')"),
    (lambda manifest: manifest["ports"].pop("m_axi_wdata"), "but: KeyError('m_axi_wdata')"),
    (lambda manifest: manifest["ports"].update(m_axi_wdata=64), "but: TypeError("),
    (lambda manifest: manifest["ports"].update(m_axi_foo={"direction": "input", "width": 1}),
     "the port m_axi_foo must be one of AXI4 or AXI4-Lite that LiteX has"),
    (lambda manifest: manifest["ports"]["m_axi_arlen"].update(width=4), "the port m_axi_arlen must have 8 bits, as in LiteX, not 4"),
    (lambda manifest: manifest["sha256"].update({"rtl/adagp.v": "0"}), "must have the SHA-256 that manifest.json says, 0, not ")],
    ids=["empty", "port missing", "no width", "unknown port", "other width", "other Verilog"])
def test_a_broken_manifest_is_one_line(edit, message, other, tmp_path):
    change(other, edit)
    refused(other, tmp_path, message)


def test_a_manifest_that_is_missing_or_no_json_is_one_line(other, tmp_path):
    (other / "manifest.json").write_text("{")
    refused(other, tmp_path, "manifest.json must be JSON: Expecting property name")
    (other / "manifest.json").unlink()
    refused(other, tmp_path, "manifest.json: No such file or directory")


def refused(release, tmp_path, message):
    with pytest.raises(BuildError) as failure:
        litex_system.elaborate(release, tmp_path / "system")
    last = str(failure.value).splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert "Traceback" not in str(failure.value) and not (tmp_path / "system").exists()
