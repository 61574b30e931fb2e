"""Random programs: well synchronised, and bit for bit what the literal transcription computes."""

from dataclasses import replace

import numpy as np
import pytest
from literal import LiteralMachine

from adagp.golden import GoldenMachine
from adagp.golden.accesses import Space, accesses
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.isa import (
    Addend, Array, End, Engine, Fill, Function, Load, Memory, Multiplier, Opcode, PredictorArray, Store, Vector, encode)
from adagp_tb.random_programs import MEMORY_BYTES, PROGRAM_ADDRESS, ZONE_BYTES, random_program

ODD = AcceleratorConfig(rows=3, columns=5, bus_bits=64, stream_elements=256, stationary_elements=128, vector_words=64,
                        predictor_elements=64, predictor_rows=2, predictor_columns=3, predictor_stream_elements=64,
                        predictor_stationary_elements=128)
DESIGNS = pytest.mark.parametrize("design", Design, ids=lambda design: design.name.lower())


def run(config, program, **options) -> GoldenMachine:
    machine = GoldenMachine(config, MEMORY_BYTES, **options)
    program.place(machine)
    machine.run()
    return machine


@pytest.mark.parametrize("overlap", [False, True])
@DESIGNS
@pytest.mark.parametrize("name", ["tiny", "small", "paper", "large"])
def test_random_programs_are_well_synchronised(name, design, overlap):
    config = preset(name).with_design(design)
    for seed in range(4):
        run(config, random_program(config, seed, overlap=overlap), check=True)


@pytest.mark.parametrize("rows, columns, predictor", [
    (2, 2, (2, 2)), (2, 17, (2, 13)), (17, 2, (11, 2)), (3, 5, (3, 5)), (9, 31, (2, 2))])
def test_random_programs_fit_odd_arrays(rows, columns, predictor):
    config = AcceleratorConfig(rows=rows, columns=columns, bus_bits=64, design=Design.MAX,
                               predictor_rows=predictor[0], predictor_columns=predictor[1])
    for seed in range(3):
        run(config, random_program(config, seed, overlap=bool(seed % 2)), check=True)


def test_programs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="rows and vector_lanes must be small enough to dump 90112 bytes, not 64 and 64"):
        random_program(AcceleratorConfig(rows=64, columns=64), 0)
    with pytest.raises(ValueError, match="length must be from 0 to 400, not 401"):
        random_program(ODD, 0, length=401)


@pytest.mark.parametrize("config, seed", [
    *((config.with_design(Design.MAX), seed) for config in (preset("tiny"), ODD) for seed in range(5)),
    *((ODD.with_design(design), seed) for design in Design for seed in (5, 6)), (preset("paper").with_design(Design.MAX), 10)])
def test_golden_machine_agrees_with_the_literal_transcription(config, seed):
    program = random_program(config, seed, length=25)
    machine = GoldenMachine(config, MEMORY_BYTES)
    program.place(machine)
    literal = LiteralMachine(config, machine.memory.tobytes())
    for instruction in program.instructions[:-1]:
        literal.execute(instruction, program.bases)
    machine.run()
    assert machine.memory[ZONE_BYTES:PROGRAM_ADDRESS].any()
    assert machine.stream.tolist() == literal.stream
    assert machine.stationary.tolist() == literal.stationary
    assert machine.vector.view(np.uint32).ravel().tolist() == literal.vector
    assert machine.memory.tobytes() == bytes(literal.memory)
    assert machine.predictor_stream.tolist() == literal.predictor_stream
    assert machine.predictor_stationary.tolist() == literal.predictor_stationary
    assert machine.predictor_memory.tobytes() == bytes(literal.predictor_memory)
    assert [machine.read(f"QUALITY[{index}]") for index in range(128)] == literal.quality


@DESIGNS
def test_the_generator_reaches_every_kind_of_instruction(design):
    config = preset("tiny").with_design(design)
    own_array, own_memory = design == Design.MAX, design in (Design.EFFICIENT, Design.MAX)
    memories = set(Memory) if own_array else {Memory.STREAM, Memory.STATIONARY, Memory.VECTOR}
    places = {0, 1} if own_memory else {0}
    made = [i for seed in range(40) for i in random_program(config, seed).instructions]
    assert {type(i).opcode for i in made} == set(Opcode) - (set() if own_array else {Opcode.PREDICTOR_ARRAY})
    loads = [i for i in made if isinstance(i, Load)]
    assert {(i.memory, i.format, i.local) for i in loads} == {(m, f, l) for m in memories for f in (0, 1) for l in places}
    assert {i.memory for i in loads if i.transpose} == memories - {Memory.VECTOR}
    assert {i.memory for i in made if isinstance(i, Fill)} == memories
    assert {(i.format, i.dense, i.local) for i in made if isinstance(i, Store)} == {
        (f, d, l) for f in (0, 1) for d in (0, 1) for l in places}
    vectors = [i for i in made if isinstance(i, Vector)]
    assert {i.function for i in vectors} == set(Function)
    assert {(i.multiplier, i.addend) for i in vectors} == {(m, a) for m in Multiplier for a in Addend}
    assert {(i.behind, i.each) for i in vectors} == {(behind, each) for behind in range(16) for each in range(2)}
    assert {i.lane for i in vectors if i.broadcast} == set(range(config.vector_lanes))
    for kind in (Array, PredictorArray) if own_array else (Array,):
        arrays = [i for i in made if type(i) is kind]
        assert {i.accumulate for i in arrays} == {0, 1}
        assert {i.tag for i in arrays} == set(range(4))
        assert {0, 1, 255} < {i.layer for i in arrays}
        assert any(i.outer_count0 > 1 and i.accumulator_outer_stride0 == 0 for i in arrays)
    engines = set(Engine) - (set() if own_array else {Engine.PREDICTOR})
    assert {(giver, i.engine) for i in made for giver in i.wait} == {
        (giver, taker) for giver in engines for taker in engines if giver != taker}


@DESIGNS
@pytest.mark.parametrize("seed", range(4))
def test_the_dump_shows_every_place_that_a_program_touches(seed, design):
    config = preset("tiny").with_design(design)
    program = random_program(config, seed)
    start = next(number for number, i in enumerate(program.instructions)
                 if isinstance(i, Store) and not i.local and (i.offset + program.bases[i.base]) % 2**32 == ZONE_BYTES)
    code = b"".join(encode(i if isinstance(i, End) else replace(i, wait=frozenset(), signal=frozenset()))
                    for i in program.instructions[start:])
    touched = {}
    for instruction in program.instructions[:start]:
        for access in accesses(instruction, program.bases, config):
            touched.setdefault(access.space, set()).update(access.addresses.tolist())
    names = {space: space.name.lower() for space in Space} | {Space.LOCAL: "predictor_memory"}
    assert len(touched) == {Design.MAX: 7, Design.EFFICIENT: 5}.get(design, 4)
    for space in touched.keys() - {Space.EXTERNAL}:
        machine = GoldenMachine(config, MEMORY_BYTES)
        program.place(machine)
        machine.memory[PROGRAM_ADDRESS:PROGRAM_ADDRESS + len(code)] = np.frombuffer(code, np.uint8)
        marks = 0x3F81 + np.arange(len(touched[space]))  # normal operands, each of them once
        memory = getattr(machine, names[space]).reshape(-1)
        wide = np.uint32 if space == Space.VECTOR else np.uint16
        memory.view(wide)[sorted(touched[space])] = marks << (16 if space == Space.VECTOR else 0)
        machine.run()
        assert set(marks) <= set(machine.memory[ZONE_BYTES:PROGRAM_ADDRESS].view(np.uint16).tolist()), space.name


def test_equal_seeds_give_equal_programs():
    one, other = (random_program(preset("small"), 7, overlap=True) for _ in range(2))
    assert one.instructions == other.instructions and np.array_equal(one.image, other.image)


def test_overlap_lets_instructions_start_that_would_otherwise_wait():
    def waiting(overlap):
        return [bool(i.wait) for i in random_program(preset("tiny"), 0, overlap=overlap).instructions[:-1]]
    assert any(before and not after for before, after in zip(waiting(False), waiting(True)))
