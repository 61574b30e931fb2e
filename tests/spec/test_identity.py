"""What a core says of itself, and that it does not say the same after a change."""

from dataclasses import fields, replace
from hashlib import sha256

import pytest

from adagp.spec import isa
from adagp.spec.config import Design, preset
from adagp.spec.identity import configuration_digest, identity
from adagp.spec.registers import REGISTERS, field
from adagp.spec.schedule import Phase

REGISTER_MAPS = {1: "8e2f8c2f7f8a41bb"}
"""Digest of the register map by its version. A new line for every change: what is there has been released."""

INSTRUCTION_SETS = {1: "8a99e82211596f85"}
"""Digest of the encoding by its version. A change of meaning alone wants a new version, too."""


def digest(parts) -> str:
    return sha256("\n".join(map(repr, parts)).encode()).hexdigest()[:16]


def test_register_map_does_not_change_without_its_version():
    version = field("INTERFACE", "register_map").reset
    parts = [(path, register.offset, [
        (each.name, each.lsb, each.width, each.reset if each.name not in ("register_map", "instruction_set") else 0,
         each.software, each.singlepulse, each.woclr) for each in register.fields]) for path, register in REGISTERS.items()]
    assert REGISTER_MAPS.get(version) == digest(parts), "a change of the register map needs another version of it"
    assert max(REGISTER_MAPS) == version


def test_instruction_set_does_not_change_without_its_version():
    version = field("INTERFACE", "instruction_set").reset
    kinds = (isa.Engine, isa.Opcode, isa.Memory, isa.Format, isa.Function, isa.Multiplier, isa.Addend, isa.Pass,
             isa.FaultCause, Phase)
    parts = [isa.HEADER, {int(code): layout for code, layout in isa.FIELDS.items()}, isa.INSTRUCTION_BYTES,
             isa.TOKEN_LIMIT, isa.WORDS_IN_FLIGHT,
             *((kind.__name__, [(each.name, each.value) for each in kind]) for kind in kinds)]
    assert INSTRUCTION_SETS.get(version) == digest(parts), "a change of instructions needs another version of them"
    assert max(INSTRUCTION_SETS) == version


def test_every_parameter_changes_the_digest():
    config = preset("small")
    others = [replace(config, **{each.name: value}) for each in fields(config)
              for value in (changed(config, each.name),) if value is not None]
    digests = {configuration_digest(each) for each in (config, *others)}
    assert len(digests) == len(others) + 1 and len(others) == len(fields(config)) - 2  # the two formats are fixed


def changed(config, name):
    value = getattr(config, name)
    if name in ("operand", "accumulator"):
        return None
    if name == "design":
        return Design.MAX
    return value - 1 if name.startswith("predictor_") and name.endswith(("rows", "columns")) else 2 * value


@pytest.mark.parametrize("design, predictor", [
    (Design.BASELINE, 0), (Design.LOW, 0), (Design.EFFICIENT, 15 << 16), (Design.MAX, 4 | 8 << 8 | 15 << 16)])
def test_predictor_is_told_where_there_is_one(design, predictor):
    values = identity(preset("small").with_design(design))
    assert values["PREDICTOR"] == predictor
    assert values["ARRAY"] == 8 | 8 << 8 | design << 16 | 16 << 24
    assert values["MEMORIES"] == 15 | 15 << 8 | 12 << 16 | 8 << 24
