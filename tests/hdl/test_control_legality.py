"""What the hardware takes for an instruction, against the decoder of the specification."""

import random

import pytest
from amaranth.sim import Simulator

from adagp.golden.program import check_config
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import (
    FIELDS, HEADER, Array, End, Engine, Fill, Format, Function, IllegalInstruction, Load, Memory, Opcode, Pass,
    PredictorArray, Store, Vector, decode, encode)
from adagp_hdl.control.legality import Legality

# stream lanes 16, stationary lanes 8; the predictor's array: 8 and 4
CONFIG = AcceleratorConfig(rows=12, columns=7, bus_bits=64, predictor_rows=5, predictor_columns=3)
designs = pytest.mark.parametrize("design", Design, ids=lambda design: design.name.lower())

GOOD = {
    Opcode.LOAD: Load(memory=Memory.STREAM, format=Format.OPERAND, base=3, offset=0x40, destination=17, length=5),
    Opcode.FILL: Fill(memory=Memory.VECTOR, destination=8, length=9),
    Opcode.ARRAY: Array(tag=Pass.FORWARD, columns=7, stream=0, stationary=0, accumulator=0,
                        stream_count0=3, row_count0=2),
    Opcode.PREDICTOR_ARRAY: PredictorArray(tag=Pass.PREDICTOR, columns=3, stream=0, stationary=0, accumulator=0,
                                           stream_count0=3, row_count0=2),
    Opcode.VECTOR: Vector(a=1, d=2),
    Opcode.STORE: Store(format=Format.FLOAT32, base=1, offset=0, source=0, length=4),
    Opcode.END: End()}


def position(opcode, name):
    """Lowest bit and width of a field, counted from the documented order."""
    start = 0
    for field, width in (HEADER | FIELDS[opcode]).items():
        if field == name:
            return start, width
        start += width
    raise KeyError(name)


def altered(kind, /, **values):
    word = int.from_bytes(encode(GOOD[kind]), "little")
    for name, value in values.items():
        start, width = position(kind, name)
        word = word & ~((1 << width) - 1 << start) | value << start
    return word


def verdicts(words, design=Design.MAX):
    unit = Legality(CONFIG.with_design(design))
    results = []

    async def bench(ctx):
        for word in words:
            ctx.set(unit.instruction, word)
            await ctx.delay(1e-9)
            results.append(bool(ctx.get(unit.legal)))

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    return results


def is_legal(word, design=Design.MAX):
    """The golden machine's answer."""
    try:
        check_config(decode(word.to_bytes(64, "little")), CONFIG.with_design(design))
    except IllegalInstruction:
        return False
    return True


@designs
def test_good_instructions_are_legal(design):
    instructions = [instruction for opcode, instruction in GOOD.items()
                    if design is Design.MAX or opcode is not Opcode.PREDICTOR_ARRAY]
    words = [int.from_bytes(encode(instruction), "little") for instruction in instructions]
    assert all(verdicts(words, design)) and all(is_legal(word, design) for word in words)


@designs
def test_no_other_opcode_exists(design):
    words = [altered(opcode, opcode=code) for opcode in GOOD
             for code in (0, *range(8 if design is Design.MAX else 7, 16))]
    assert not any(verdicts(words, design))


@designs
def test_what_a_design_lacks_is_illegal(design):
    memories = [altered(opcode, memory=code) for opcode in (Opcode.LOAD, Opcode.FILL) for code in range(8)]
    known = 5 if design is Design.MAX else 3
    assert verdicts(memories, design) == [code < known for _ in range(2) for code in range(8)]
    local = [altered(opcode, local=1) for opcode in (Opcode.LOAD, Opcode.STORE)]
    assert verdicts(local, design) == [design in (Design.EFFICIENT, Design.MAX)] * 2
    assert verdicts([altered(Opcode.PREDICTOR_ARRAY)], design) == [design is Design.MAX]


@pytest.mark.parametrize("opcode", [opcode for opcode in GOOD if opcode is not Opcode.END])
def test_zero_counts_and_lengths_are_illegal(opcode):
    names = [name for name in FIELDS[opcode] if "count" in name or name in ("length", "columns")]
    assert len(names) >= 3
    assert not any(verdicts([altered(opcode, **{name: 0}) for name in names]))
    assert all(verdicts([altered(opcode, **{name: 1}) for name in names]))


@pytest.mark.parametrize("opcode, name, most", [
    (Opcode.LOAD, "memory", Memory.PREDICTOR_STATIONARY), (Opcode.FILL, "memory", Memory.PREDICTOR_STATIONARY),
    (Opcode.VECTOR, "function", Function.REPORT), (Opcode.VECTOR, "multiplier", 2), (Opcode.VECTOR, "addend", 2),
    (Opcode.VECTOR, "lane", 7)])
def test_enumerations_end(opcode, name, most):
    values = range(1 << position(opcode, name)[1])
    assert verdicts([altered(opcode, **{name: value}) for value in values]) == [value <= most for value in values]


@pytest.mark.parametrize("opcode, columns", [(Opcode.ARRAY, 7), (Opcode.PREDICTOR_ARRAY, 3)])
def test_array_has_only_so_many_columns(opcode, columns):
    counts = (1, 2, 3, 4, 6, 7, 8, 128, 255)
    assert verdicts([altered(opcode, columns=n) for n in counts]) == [n <= columns for n in counts]


def test_transposed_loads():
    cases = [(dict(memory=0, count0=16), True), (dict(memory=0, count0=17), False), (dict(memory=1, count0=8), True),
             (dict(memory=1, count0=9), False), (dict(memory=1, count0=0xFFFF), False), (dict(memory=2), False),
             (dict(memory=0, dense=1), False), (dict(memory=3, count0=8), True), (dict(memory=3, count0=9), False),
             (dict(memory=4, count0=4), True), (dict(memory=4, count0=5), False), (dict(memory=4, dense=1), False)]
    assert verdicts([altered(Opcode.LOAD, transpose=1, **case) for case, _ in cases]) == [legal for _, legal in cases]
    assert verdicts([altered(Opcode.LOAD, transpose=0, memory=1, count0=9)]) == [True]


@pytest.mark.parametrize("opcode", GOOD)
@pytest.mark.parametrize("name", ["wait", "signal"])
def test_the_predictor_is_an_engine_of_design_max_only(opcode, name):
    words = [altered(opcode, **{name: engines}) for engines in range(32)]
    assert all(verdicts(words, Design.MAX))
    if opcode is not Opcode.PREDICTOR_ARRAY:
        assert verdicts(words, Design.EFFICIENT) == [not engines >> Engine.PREDICTOR & 1 for engines in range(32)]


@designs
def test_random_words_against_the_decoder(design):
    rng = random.Random(5)
    words = []
    for _ in range(3000):
        opcode = rng.choice(list(GOOD))
        word = altered(opcode) ^ (1 << rng.randrange(512) if rng.random() < 0.7 else 0)
        for _ in range(rng.randrange(3)):
            if not FIELDS[opcode]:
                break
            name = rng.choice(list(FIELDS[opcode]))
            start, width = position(opcode, name)
            value = rng.choice([0, 1, rng.getrandbits(width), (1 << width) - 1])
            word = word & ~((1 << width) - 1 << start) | value << start
        words.append(word)
    expected, got = [is_legal(word, design) for word in words], verdicts(words, design)
    assert [f"{word:#x}" for word, a, b in zip(words, got, expected, strict=True) if a != b] == []
    assert 200 < expected.count(False) < 2000
