"""Random programs: well synchronised, and bit for bit what the literal transcription computes."""

import numpy as np
import pytest
from literal import LiteralMachine

from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, preset
from adagp.spec.isa import Array, Fill, Load, Memory, Opcode, Store, Vector
from adagp_tb.random_programs import MEMORY_BYTES, random_program

ODD = AcceleratorConfig(rows=3, columns=5, bus_bits=64, stream_elements=256, stationary_elements=128, vector_words=64)


def run(config, program, **options) -> GoldenMachine:
    machine = GoldenMachine(config, MEMORY_BYTES, **options)
    program.place(machine)
    machine.run()
    return machine


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("name", ["tiny", "small", "paper", "large"])
def test_random_programs_are_well_synchronised(name, overlap):
    for seed in range(6):
        run(preset(name), random_program(preset(name), seed, overlap=overlap), check=True)


@pytest.mark.parametrize("rows, columns", [(2, 2), (2, 17), (17, 2), (3, 5), (9, 31)])
def test_random_programs_fit_odd_arrays(rows, columns):
    config = AcceleratorConfig(rows=rows, columns=columns, bus_bits=64)
    for seed in range(3):
        run(config, random_program(config, seed, overlap=bool(seed % 2)), check=True)


def test_programs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="rows and vector_lanes must be small enough to dump 90112 bytes, not 64 and 64"):
        random_program(AcceleratorConfig(rows=64, columns=64), 0)
    with pytest.raises(ValueError, match="length must be from 0 to 400, not 401"):
        random_program(ODD, 0, length=401)


@pytest.mark.parametrize("config, seed", [(preset("tiny"), seed) for seed in range(5)]
                         + [(ODD, seed) for seed in range(5, 10)] + [(preset("paper"), 10)])
def test_golden_machine_agrees_with_the_literal_transcription(config, seed):
    program = random_program(config, seed, length=25)
    machine = GoldenMachine(config, MEMORY_BYTES)
    program.place(machine)
    literal = LiteralMachine(config, machine.memory.tobytes())
    for instruction in program.instructions[:-1]:
        literal.execute(instruction, program.bases)
    machine.run()
    assert machine.stream.tolist() == literal.stream
    assert machine.stationary.tolist() == literal.stationary
    assert machine.vector.view(np.uint32).ravel().tolist() == literal.vector
    assert machine.memory.tobytes() == bytes(literal.memory)


def test_the_generator_reaches_every_kind_of_instruction():
    made = [i for seed in range(30) for i in random_program(preset("tiny"), seed).instructions]
    assert {type(i).opcode for i in made} == set(Opcode)
    assert {i.memory for i in made if isinstance(i, Load)} == set(Memory)
    assert {i.memory for i in made if isinstance(i, Load) and i.transpose} == {Memory.STREAM, Memory.STATIONARY}
    assert {i.memory for i in made if isinstance(i, Fill)} == set(Memory)
    assert {(i.format, i.dense) for i in made if isinstance(i, Store)} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    vectors = [i for i in made if isinstance(i, Vector)]
    assert {i.function for i in vectors} == set(range(10))
    assert {(i.multiplier, i.addend) for i in vectors} == {(m, a) for m in range(3) for a in range(3)}
    assert {i.sync for i in vectors} == {0, 1}
    arrays = [i for i in made if isinstance(i, Array)]
    assert {i.accumulate for i in arrays} == {0, 1}
    assert {i.tag for i in arrays} == set(range(4))
    assert any(i.outer_count0 > 1 and i.accumulator_outer_stride0 == 0 for i in arrays)


def test_equal_seeds_give_equal_programs():
    one, other = (random_program(preset("small"), 7, overlap=True) for _ in range(2))
    assert one.instructions == other.instructions and np.array_equal(one.image, other.image)


def test_overlap_lets_instructions_start_that_would_otherwise_wait():
    def waiting(overlap):
        return [bool(i.wait) for i in random_program(preset("tiny"), 0, overlap=overlap).instructions[:-1]]
    assert any(before and not after for before, after in zip(waiting(False), waiting(True)))
