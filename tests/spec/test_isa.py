"""Instructions: encoding, decoding, refusals, text."""

import random
import re
from dataclasses import fields
from enum import IntEnum

import pytest

from adagp.spec.isa import (
    FIELDS, HEADER, INSTRUCTION_BYTES, INSTRUCTIONS, Addend, Array, End, Engine, Fill, Format, Function,
    IllegalInstruction, Load, Memory, Multiplier, Opcode, Pass, PredictorArray, Store, Vector, decode, disassemble,
    encode)

MINIMAL = {
    Load: dict(memory=Memory.STREAM, format=Format.OPERAND, base=0, offset=0, destination=0, length=1),
    Fill: dict(memory=Memory.STREAM, destination=0, length=1),
    Array: dict(tag=Pass.FORWARD, columns=1, stream=0, stationary=0, accumulator=0, stream_count0=1, row_count0=1),
    Vector: dict(a=0, d=0),
    Store: dict(format=Format.OPERAND, base=0, offset=0, source=0, length=1),
    End: {}}
MINIMAL[PredictorArray] = MINIMAL[Array]


def make(kind, **values):
    return kind(**MINIMAL[kind] | values)


def is_size(name: str) -> bool:
    return name in ("length", "columns") or "count" in name


def random_instruction(kind, rng: random.Random):
    types = {field.name: field.type for field in fields(kind)}
    values = {}
    for name, width in FIELDS[kind.opcode].items():
        if issubclass(types[name], IntEnum):
            values[name] = rng.choice(list(types[name]))
        elif "stride" in name:
            values[name] = rng.choice([0, -1, rng.randrange(-(1 << width - 1), 1 << width - 1)])
        else:
            values[name] = rng.choice([int(is_size(name)), (1 << width) - 1, rng.randrange(int(is_size(name)), 1 << width)])
    if kind is Load and values["memory"] == Memory.VECTOR:
        values["transpose"] = 0
    if values.get("dense"):
        side = "source" if kind is Load else "destination"
        values[f"{side}_stride0"] = values["length"] * values["format"].bytes
        values |= {"transpose": 0} if kind is Load else {}
    tokens = {name: frozenset(rng.sample(list(Engine), rng.randrange(6))) for name in ("wait", "signal")}
    return kind(**values, **tokens)


@pytest.mark.parametrize("kind", MINIMAL, ids=lambda kind: kind.__name__)
def test_instructions_round_trip_through_their_bytes(kind):
    rng = random.Random(kind.__name__)
    for _ in range(300):
        instruction = random_instruction(kind, rng)
        data = encode(instruction)
        assert len(data) == INSTRUCTION_BYTES and decode(data) == instruction


@pytest.mark.parametrize("kind", MINIMAL, ids=lambda kind: kind.__name__)
def test_fields_are_packed_from_bit_0_in_the_order_of_the_table(kind):
    rng = random.Random(1)
    for _ in range(50):
        instruction = random_instruction(kind, rng)
        bits, word = "", int.from_bytes(encode(instruction), "little")
        for name, width in reversed((HEADER | FIELDS[kind.opcode]).items()):
            value = getattr(instruction, name)
            if name in ("wait", "signal"):
                value = sum(2**engine for engine in value)
            bits += f"{value % 2**width:0{width}b}"
        assert word == int(bits, 2)


@pytest.mark.parametrize("instruction, want", [
    # opcode in bits 0 to 3, wait from bit 4 and signal from bit 9 on in the order of the engines, fields from bit 14 on
    (Fill(memory=Memory.VECTOR, value=0x3F800000, destination=5, length=3, wait=frozenset({Engine.ARRAY}),
          signal=frozenset({Engine.STORE})),
     2 | 1 << 5 | 1 << 13 | 2 << 14 | 0x3F800000 << 17 | 5 << 49 | 3 << 69 | 1 << 85 | 1 << 101 | 1 << 117),
    (Load(memory=Memory.PREDICTOR_STATIONARY, format=Format.FLOAT32, local=1, base=6, offset=0x10, destination=9, length=2,
          wait=frozenset({Engine.PREDICTOR}), source_stride2=-1),
     1 | 1 << 6 | 4 << 14 | 1 << 19 | 1 << 20 | 6 << 21 | 0x10 << 24 | 9 << 56 | 2 << 76 | 1 << 92 | 1 << 108 | 1 << 124
     | 0xFFFFFFFF << 204),
    (Store(format=Format.FLOAT32, local=1, base=6, offset=0x10, source=9, length=2, destination_stride2=-1),
     5 | 1 << 15 | 1 << 16 | 6 << 17 | 0x10 << 20 | 9 << 52 | 2 << 72 | 1 << 88 | 1 << 104 | 1 << 120 | 0xFFFFFFFF << 260),
    (PredictorArray(tag=Pass.PREDICTOR, layer=0xA5, columns=3, stream=1, stationary=2, accumulator=4, stream_count0=5,
                    row_count0=6, accumulator_outer_stride1=-2, signal=frozenset({Engine.PREDICTOR})),
     7 | 1 << 11 | 3 << 14 | 0xA5 << 16 | 3 << 25 | 1 << 33 | 2 << 53 | 4 << 73 | 5 << 89 | 1 << 105 | 1 << 121 | 6 << 137
     | 1 << 153 | 1 << 169 | 1 << 185 | 1 << 201 | 0xFFFE << 453),
    (Vector(function=Function.REPORT, broadcast=1, lane=0x55, behind=11, each=1, a=7, d=8,
            d_stride2=-3),
     4 | 10 << 14 | 1 << 25 | 0x55 << 26 | 11 << 33 | 1 << 37 | 7 << 102 | 8 << 134 | 1 << 150 | 1 << 166
     | 1 << 182 | 0xFFFD << 326)],
    ids=lambda value: type(value).__name__)
def test_known_bytes(instruction, want):
    assert encode(instruction) == want.to_bytes(64, "little")


def test_every_opcode_has_a_kind_and_every_kind_its_fields():
    assert set(INSTRUCTIONS) == set(FIELDS) == set(Opcode)
    for kind in INSTRUCTIONS.values():
        assert {field.name for field in fields(kind)} == {"wait", "signal", *FIELDS[kind.opcode]}


@pytest.mark.parametrize("kind, name", [(kind, name) for kind in MINIMAL for name in FIELDS[kind.opcode]],
                         ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_values_out_of_range_are_refused_by_name_rule_and_value(kind, name):
    width = FIELDS[kind.opcode][name]
    least, most = (-(1 << width - 1), (1 << width - 1) - 1) if "stride" in name else (int(is_size(name)), (1 << width) - 1)
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match=f"{kind.__name__}.{name} must be from {least} to {most}, not {value}$"):
            make(kind, **{name: value})


@pytest.mark.parametrize("kind, name", [(kind, name) for kind in MINIMAL for name in FIELDS[kind.opcode] if is_size(name)],
                         ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_a_zero_count_does_not_decode(kind, name):
    word, position = int.from_bytes(encode(make(kind)), "little"), 0
    for each, width in (HEADER | FIELDS[kind.opcode]).items():
        if each == name:
            word &= ~((1 << width) - 1 << position)
        position += width
    with pytest.raises(IllegalInstruction, match=f"{kind.__name__}.{name} must be from 1 to"):
        decode(word.to_bytes(64, "little"))


@pytest.mark.parametrize("opcode", [0, 8, 15])
def test_unlisted_opcodes_are_illegal(opcode):
    with pytest.raises(IllegalInstruction, match=rf"opcode must be one of 1 \(LOAD\), .*7 \(PREDICTOR_ARRAY\), .*6 \(END\), not {opcode}"):
        decode(bytes([opcode]) + bytes(63))


def test_enumerations_out_of_range_are_illegal():
    with pytest.raises(IllegalInstruction, match="Fill.memory: 5 is not a valid Memory"):
        decode((int.from_bytes(encode(make(Fill)), "little") | 5 << 14).to_bytes(64, "little"))
    with pytest.raises(IllegalInstruction, match="Vector.function: 11 is not a valid Function"):
        decode((int.from_bytes(encode(make(Vector)), "little") | 11 << 14).to_bytes(64, "little"))


def test_other_sizes_are_no_instruction():
    with pytest.raises(IllegalInstruction, match="an instruction has 64 bytes, not 63"):
        decode(bytes(63))


@pytest.mark.parametrize("make_it, message", [
    (lambda: make(Load, dense=1, source_stride0=4), "Load.dense needs transpose=0 and source_stride0 equal to length times size, not 4 with length 1"),
    (lambda: make(Load, dense=1, transpose=1, source_stride0=2), "Load.dense needs transpose=0"),
    (lambda: make(Load, memory=Memory.VECTOR, transpose=1), "Load.transpose needs a memory of operands, not VECTOR"),
    (lambda: make(Store, dense=1, destination_stride0=-2), "Store.dense needs destination_stride0 equal to length times size, not -2 with length 1")])
def test_combinations_are_refused(make_it, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make_it()


def test_instructions_name_their_engine():
    assert [INSTRUCTIONS[opcode].engine for opcode in Opcode] == [
        Engine.LOAD, Engine.LOAD, Engine.ARRAY, Engine.VECTOR, Engine.STORE, None, Engine.PREDICTOR]


@pytest.mark.parametrize("instruction, text", [
    (End(), "end"),
    (make(Load, offset=64, dense=1, length=3, source_stride0=6, wait=frozenset({Engine.STORE, Engine.ARRAY})),
     "load wait=array+store memory=stream dense=1 format=operand offset=0x40 destination=0 length=3 source_stride0=6"),
    (make(Store, local=1, base=2, wait=frozenset({Engine.PREDICTOR})),
     "store wait=predictor format=operand local=1 base=2 offset=0x0 source=0 length=1"),
    (make(Vector, function=Function.REPORT, d=3), "vector function=report a=0 d=3"),
    (make(Vector, broadcast=1, lane=3, multiplier=Multiplier.B), "vector multiplier=b broadcast=1 lane=3 a=0 d=0"),
    (make(PredictorArray, layer=9),
     "predictorarray tag=forward layer=9 columns=1 stream=0 stationary=0 accumulator=0 stream_count0=1 row_count0=1"),
    (make(Vector, function=Function.GATE, addend=Addend.T, t=0x3F800000, behind=15, each=1, signal=frozenset({Engine.LOAD})),
     "vector signal=load function=gate addend=t behind=15 each=1 t=0x3f800000 a=0 d=0"),
    (make(Vector, multiplier=Multiplier.S), "vector multiplier=s a=0 d=0"),
    (make(Array, tag=Pass.WEIGHT_GRADIENT, accumulate=1),
     "array tag=weight_gradient accumulate=1 columns=1 stream=0 stationary=0 accumulator=0 stream_count0=1 row_count0=1")])
def test_disassembly_shows_what_differs_from_the_defaults(instruction, text):
    assert disassemble(instruction) == text


def test_dense_ignores_the_stride_that_the_machine_does_not_look_at():
    word = int.from_bytes(encode(make(Load, dense=1, length=3, source_stride0=6)), "little")
    position = 0
    for name, width in (HEADER | FIELDS[Load.opcode]).items():
        if name == "source_stride0":
            word ^= 0x55 << position
        position += width
    assert decode(word.to_bytes(64, "little")).source_stride0 == 6
