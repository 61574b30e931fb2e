"""Fields of whole programs, against the instructions that were encoded."""

from dataclasses import fields

import pytest

from adagp.cost.machine.fields import engines, instructions
from adagp.spec.config import Design, preset
from adagp.spec.isa import Engine, encode
from adagp_tb.random_programs import random_program


@pytest.mark.parametrize("seed", range(4))
def test_fields_are_those_of_the_encoded_instructions(seed):
    program = random_program(preset("tiny").with_design(Design.MAX), seed).instructions
    for row, instruction in zip(instructions(b"".join(map(encode, program))), program, strict=True):
        assert row.opcode == instruction.opcode
        for field in fields(instruction):
            value = getattr(instruction, field.name)
            if field.name in ("wait", "signal"):
                assert frozenset(engines(getattr(row, field.name))) == value
            elif not (field.name in ("source_stride0", "destination_stride0") and getattr(instruction, "dense", 0)):
                assert getattr(row, field.name) == value, field.name


def test_sets_of_engines_are_bits():
    assert engines(0) == [] and engines(0b10010) == [Engine.ARRAY, Engine.STORE]
