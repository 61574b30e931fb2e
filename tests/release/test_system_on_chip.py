"""A release in a system: RISC-V firmware trains through the C driver, waiting in both ways."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from adagp.spec.isa import INSTRUCTION_BYTES
from adagp_flows.soc.build import firmware, memory, simulator
from adagp_flows.soc.run import BATCHES, FLASH_WORDS, IMAGE, SystemFailure, check, golden, simulate
from adagp_tb.verilator import BuildError

from .conftest import CONFIG

pytestmark = pytest.mark.xdist_group("soc")  # the simulator is compiled once


@pytest.fixture(scope="module")
def library(release):
    return simulator(release)


@pytest.fixture(scope="module")
def program(release, tmp_path_factory):
    return firmware(release, tmp_path_factory.mktemp("firmware"), batches=BATCHES)


@pytest.fixture(scope="module")
def image(release):
    return release / "image/image.hex"


@pytest.fixture(scope="module")
def outcome(library, program, image):
    return simulate(library, program, image)


@pytest.fixture(scope="module")
def reference(release):
    return golden(CONFIG, release, BATCHES)


def words(path, changed):
    """A ``.hex`` file at ``path`` of ``changed`` words."""
    path.write_text("".join(f"{word:08x}\n" for word in changed))
    return path


def test_polling_and_interrupt_leave_the_golden_bits(outcome, reference):
    polling, interrupt = check(outcome, *reference)
    assert polling.batches == {"warm-up": 1, "BP": 5, "GP": 6} and interrupt.batches == {"warm-up": 0, "BP": 6, "GP": 6}
    assert polling.changed_words > 100 and min(polling.cycles, interrupt.cycles) > 10_000


def test_processor_and_core_use_the_memory_at_the_same_time(outcome):
    tested, = re.findall(r"^meanwhile: (\d+) words of memory tested$", outcome.console, re.MULTILINE)
    assert int(tested) > 100


def test_a_wrong_bit_and_a_wrong_report_are_noticed(outcome, reference):
    for place in (0, IMAGE, outcome.memory.size - 1):
        wrong = outcome.memory.copy()
        wrong[place] ^= 1
        with pytest.raises(SystemFailure, match=f"1 bytes of memory differ, the first at {place:#x}"):
            check(replace(outcome, memory=wrong), *reference)
    with pytest.raises(SystemFailure, match="the firmware reports"):
        check(replace(outcome, console=outcome.console.replace("GP 6", "GP 7", 1)), *reference)
    with pytest.raises(SystemFailure, match="exit code 1"):
        check(replace(outcome, exit_code=1), *reference)


def test_firmware_for_another_configuration_is_refused(release, library, image, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(release / "driver", other / "driver")
    shutil.copytree(release / "image", other / "image")
    header = other / "image/test_image.h"
    text, count = re.subn(r"(\.configuration = )0x\w+u", r"\g<1>0x12345678u", header.read_text())
    assert count == 1
    header.write_text(text)
    outcome = simulate(library, firmware(other, tmp_path / "firmware", batches=BATCHES), image)
    assert outcome.exit_code == 1 and not outcome.memory.any()
    first, last = outcome.console.splitlines()
    assert first.endswith("; image for 0x12345678")
    assert last == "error: load: the image is for a core of another configuration"


def test_a_fault_is_reported_with_its_place(release, library, program, image, tmp_path):
    address, = re.findall(r"_(\w{8})_\w{8} // write PROGRAM\[2\]\.ADDRESS$", (release / "image/run.hex").read_text(), re.MULTILINE)
    contents = [int(word, 16) for word in image.read_text().split()]
    first = int(address, 16) // 4
    contents[first:first + INSTRUCTION_BYTES // 4] = [0] * (INSTRUCTION_BYTES // 4)
    outcome = simulate(library, program, words(tmp_path / "image.hex", contents))
    assert outcome.exit_code == 1
    assert outcome.console.splitlines()[1:] == [
        "error: wait: the core has stopped with a fault: illegal instruction, at its address "
        f"{0x80000000 + IMAGE + int(address, 16):#x}, in batch 1"]


@pytest.mark.parametrize("instructions, message", [
    ([0x00000000], "the system trapped after"),                           # no instruction
    ([0x500002B7, 0x0002A303, 0x0000006F], "met an error on it after"),   # lui t0, 0x50000; lw t1, 0(t0)
    ([0x801002B7, 0x0002A303, 0x0000006F], "met an error on it after"),   # lui t0, 0x80100; lw t1, 0(t0): behind the memory
    ([0x0000006F], "the system runs after")],                             # j .
    ids=["trap", "no address", "no memory", "endless"])
def test_firmware_that_goes_astray_ends_with_a_message(instructions, message, library, image, tmp_path):
    with pytest.raises(SystemFailure, match=message):
        simulate(library, words(tmp_path / "firmware.hex", instructions), image, limit=1000)


def test_images_larger_than_the_flash_are_refused(library, program, tmp_path):
    with pytest.raises(SystemFailure, match=f"an image must be at most {FLASH_WORDS} words long, not {FLASH_WORDS + 1}"):
        simulate(library, program, words(tmp_path / "image.hex", np.zeros(FLASH_WORDS + 1, int)))


def test_the_compiler_says_why_firmware_fails(release, tmp_path):
    shutil.copytree(release / "driver", tmp_path / "driver")
    with pytest.raises(BuildError, match="'test_image.h' file not found"):
        firmware(tmp_path, tmp_path / "firmware", batches=BATCHES)


def test_firmware_is_an_elf_file():
    with pytest.raises(ValueError, match="elf must be a little-endian ELF file of 32 bits"):
        memory(b"\x7fELF\x02\x01" + bytes(100))
