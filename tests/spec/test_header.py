"""The C header of the registers, as a compiler understands it."""

import ctypes
import re
import subprocess

from adagp.spec.header import ENUMERATIONS, FILE, header
from adagp.spec.registers import REGISTERS


def evaluated(folder, expressions):
    """What the header makes of constant expressions in C."""
    (folder / FILE).write_text(header())
    (folder / "values.c").write_text(f'#include "{FILE}"\n#include "{FILE}"\nconst unsigned values[] = {{'
                                     + ", ".join(expressions) + "};\n")
    subprocess.run(["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "values.c",
                    "-o", "values.so"], cwd=folder, check=True)
    return list((ctypes.c_uint32 * len(expressions)).in_dll(ctypes.CDLL(str(folder / "values.so")), "values"))


def macro(path):
    """PROGRAM[1].SIZE → ADAGP_PROGRAM_SIZE, (1)."""
    index = re.findall(r"\[(\d+)\]", path)
    name = "ADAGP_" + re.sub(r"\[\d+\]", "", path).replace(".", "_")
    return name, f"({index[0]})" if index else ""


def test_offsets_masks_and_resets_are_those_of_the_map(tmp_path):
    want = {}
    for path, register in REGISTERS.items():
        name, index = macro(path)
        want[f"{name}_OFFSET{index}"] = register.offset
        if reset := sum(field.reset << field.lsb for field in register.fields):
            want[f"{name}_RESET"] = reset
        for field in register.fields:
            if field.width < 32:
                want[f"{name}_{field.name.upper()}_MASK"] = field.mask
                want[f"{name}_{field.name.upper()}_SHIFT"] = field.lsb
    assert dict(zip(want, evaluated(tmp_path, list(want)), strict=True)) == want and len(want) > 300


def test_counts_versions_and_enumerations(tmp_path):
    want = {"ADAGP_PROGRAM_COUNT": 6, "ADAGP_BASE_COUNT": 8, "ADAGP_QUALITY_COUNT": 128, "ADAGP_BUSY_COUNT": 5,
            "ADAGP_REGISTER_MAP_VERSION": 1, "ADAGP_INSTRUCTION_SET_VERSION": 1, "ADAGP_FAULT_TOKEN": 8,
            "ADAGP_PHASE_LEAVE": 5, "ADAGP_PASS_PREDICTOR": 3, "ADAGP_ENGINE_STORE": 4, "ADAGP_DESIGN_MAX": 3}
    assert dict(zip(want, evaluated(tmp_path, list(want)), strict=True)) == want


def test_every_name_is_defined_once():
    names = re.findall(r"#define (\w+)", header())
    assert len(names) == len(set(names))
    assert sum(len(members) for members in ENUMERATIONS.values()) == 9 + 6 + 4 + 5 + 4


def test_comments_say_what_the_description_says():
    text = re.sub(r"\s*\n \* ", " ", header())
    assert "/* BATCH: Number of the next batch. Read and write. The machine counts it up;" in text
    assert "/* INTERRUPT_PENDING: Interrupt pending. Read and cleared by writing ones. */" in text
    assert "gp: k, batches of a Phase GP. bp: m, batches of a Phase BP. */" in text
    assert not re.search(r"[^\x00-\x7f]", header())
