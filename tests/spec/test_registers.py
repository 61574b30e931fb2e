"""The register map as Python sees it."""

import re
import subprocess
import sys

import pytest

from adagp.spec.registers import REGISTERS, SOURCE, field, offset


@pytest.mark.parametrize("path, address", [
    ("ID", 0x000), ("CONTROL", 0x010), ("BATCHES", 0x030), ("PROGRAM[0].ADDRESS", 0x050),
    ("PROGRAM[1].SIZE", 0x05C), ("BASE[3]", 0x08C), ("STRIDE[7]", 0x0BC),
    ("EPOCH_BATCHES", 0x03C), ("ORDER_STEP", 0x040), ("BATCH", 0x044), ("ORDER", 0x048), ("PREDICTOR", 0x04C),
    ("PROGRAM[5].SIZE", 0x07C), ("REWIND[7]", 0x0DC), ("SCHEDULE[0].BATCHES", 0x0E0), ("SCHEDULE[7].RATIO", 0x11C),
    ("ADAPTIVE.BOUNDS", 0x120), ("ADAPTIVE.RAISE", 0x124), ("ADAPTIVE.LOWER", 0x128), ("ADAPTIVE.PATIENCE", 0x12C),
    ("LAYER", 0x130), ("INTERFACE", 0x134), ("CONFIGURATION", 0x138), ("CYCLES.LO", 0x180), ("PHASE_CYCLES[5].LO", 0x1B0), ("PHASE_BATCHES[5].HI", 0x1E4),
    ("PASS_MACS[3].HI", 0x224), ("BUSY[4].LO", 0x248), ("INSTRUCTIONS.HI", 0x26C), ("LAYER_CYCLES.LO", 0x270),
    ("LAYER_MACS.HI", 0x27C), ("QUALITY[0]", 0x400), ("QUALITY[127]", 0x5FC)])
def test_offsets(path, address):
    assert offset(path) == address


def test_every_top_level_name_of_the_description_is_there():
    text = re.sub(r"//.*", "", SOURCE.read_text())
    names = set(re.findall(r"(\w+)(?:\[\d+\])? @ 0x", text))
    assert names == {re.split(r"[\[.]", path)[0] for path in REGISTERS} and len(names) > 20


def test_registers_are_words_that_do_not_overlap():
    offsets = [register.offset for register in REGISTERS.values()]
    assert offsets == sorted(set(offsets)) and all(value % 4 == 0 for value in offsets)


def test_fields_of_a_register_do_not_overlap():
    for register in REGISTERS.values():
        seen = 0
        for part in register.fields:
            assert not seen & part.mask and part.mask < 1 << 32
            seen |= part.mask


def test_field_properties():
    start = field("CONTROL", "start")
    assert (start.lsb, start.width, start.software, start.hardware) == (0, 1, "w", "r")
    assert start.singlepulse and not start.woclr
    pending = field("INTERRUPT_PENDING", "fault")
    assert (pending.lsb, pending.mask) == (1, 2) and pending.woclr and not pending.singlepulse
    assert field("ID", "value").reset == 0x0ADA6B00
    assert field("STATUS", "phase").mask == 0x70
    assert [field("SCHEDULE[3].RATIO", name).mask for name in ("gp", "bp")] == [0xFFFF, 0xFFFF0000]
    assert field("SCHEDULE[3].RATIO", "bp").reset == field("ORDER_STEP", "value").reset == 1
    assert [field("MODE", name).mask for name in ("evaluate", "adaptive", "stay")] == [1, 2, 4]
    assert field("CONTROL", "write_back").mask == 8 and field("CONTROL", "write_back").singlepulse
    assert (field("BASE[0]", "value").software, field("BASE[0]", "value").hardware) == ("rw", "rw")


def test_counters_are_pairs():
    for path, register in REGISTERS.items():
        if path.endswith(".LO"):
            assert REGISTERS[path[:-2] + "HI"].offset == register.offset + 4


def test_unknown_names_are_refused():
    with pytest.raises(KeyError, match="no register is called 'BASE'"):
        offset("BASE")
    with pytest.raises(KeyError, match="register MODE has no field 'train', only evaluate"):
        field("MODE", "train")


def test_import_does_not_compile():
    code = "import sys, adagp.spec.registers; sys.exit('systemrdl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
