"""The driver as compilers see it."""

import json
import shutil
import subprocess

import pytest

from binding import write_sources
from job import SCHEDULES, job

WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
C = ["-std=c99", "-Wstrict-prototypes", "-Wmissing-prototypes"]
COMMANDS = {
    "gcc": ["gcc", *C], "gcc, 32 bits": ["gcc", "-m32", "-fno-pic", *C],
    "clang": ["clang", *C], "clang, 32 bits": ["clang", "-m32", *C],
    "g++": ["g++", "-x", "c++", "-std=c++11"], "clang++": ["clang++", "-x", "c++", "-std=c++11"],
    "gcc for RISC-V": ["riscv64-unknown-elf-gcc", *C], "gcc for ARM": ["arm-none-eabi-gcc", *C],
}


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if shutil.which(command[0])])
@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
def test_no_warning_and_no_library(name, level, tmp_path):
    write_sources(tmp_path)
    command = [*COMMANDS[name], *WARNINGS, level, "-ffreestanding", "-c", "adagp.c", "-o", "adagp.o"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    undefined = subprocess.run(["nm", "-u", "adagp.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert undefined == ""


def test_definitions_compile_without_a_warning(tmp_path):
    write_sources(tmp_path)
    (tmp_path / "images.c").write_text('#include "adagp.h"\n' + job().definitions())
    result = subprocess.run(["gcc", *C[:1], *WARNINGS, "-c", "images.c"], cwd=tmp_path, capture_output=True, text=True,
                            check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert job().definitions().count("const struct adagp_schedule") == len(SCHEDULES)


def test_json_has_the_fields_of_the_struct():
    image = job().image
    values = json.loads(image.json())
    assert values["bytes"] == job().contents.size and values["configuration"] == image.configuration
    assert [tuple(each) for each in values["programs"]] == list(image.programs)
    assert set(values) == {"configuration", "instruction_set", "bytes", "batches", "programs", "bases"}
