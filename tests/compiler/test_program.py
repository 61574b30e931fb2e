"""Footprints, tokens and sync bits of the program builder."""

import random

from adagp.compiler.program import Footprint, ProgramBuilder
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Addend, Engine, Format, Load, Memory, Store, Vector, decode

CONFIG = AcceleratorConfig(rows=4, columns=4, bus_bits=64)


def addresses(address, length, loops):
    spots = {address + element for element in range(length)}
    for count, stride in loops:
        spots = {spot + index * stride for spot in spots for index in range(count)}
    return spots


def test_footprint_contains_every_address_and_tells_disjoint_only_if_disjoint():
    rng = random.Random(7)
    told_apart = 0
    for _ in range(3000):
        sides = []
        for _ in range(3):
            length = rng.randint(1, 6)
            loops = [(rng.randint(1, 4), rng.choice((length, 3, 8, 12, 24, -8, 16))) for _ in range(rng.randint(0, 3))]
            address = rng.randint(0, 60)
            sides.append((Footprint.strided(address, length, loops), addresses(address, length, loops)))
        (a, spots_a), (b, spots_b), (c, _) = sides
        assert all(a.low <= spot < a.high for spot in spots_a)
        if a.period:
            assert all((spot - a.low) % a.period < a.run for spot in spots_a)
        if not a.meets(b):
            told_apart += 1
            assert not spots_a & spots_b
        if a.covers(b) and c.meets(b):  # so whoever conflicts with b is ordered after a, which is after b
            assert c.meets(a)
    assert told_apart > 300


def load(word, words=1):
    return Load(memory=Memory.VECTOR, format=Format.FLOAT32, base=0, offset=0, destination=word * 4, length=4 * words)


def add(d, a, b):
    return Vector(a=a, b=b, d=d, addend=Addend.B)


def store(word, offset=1024):
    return Store(format=Format.FLOAT32, base=0, offset=offset, source=word * 4, length=4)


def built(*instructions):
    builder = ProgramBuilder(CONFIG)
    for instruction in instructions:
        builder.emit(instruction)
    return builder.instructions()


def test_consumer_waits_for_its_producer_only():
    first, second, total, kept, _ = built(load(0), load(1), add(2, 0, 1), store(2))
    assert first.signal == set() and second.signal == {Engine.VECTOR}
    assert total.wait == {Engine.LOAD} and total.signal == {Engine.STORE}
    assert kept.wait == {Engine.VECTOR}


def test_overwriting_waits_for_the_reader():
    instructions = built(load(0), add(1, 0, 0), load(0))
    assert instructions[1].signal == {Engine.LOAD} and instructions[2].wait == {Engine.VECTOR}


def test_what_is_already_known_is_not_waited_for_again():
    instructions = built(load(0), add(1, 0, 0), add(2, 0, 0), store(1))
    assert instructions[2].wait == set()
    assert instructions[3].wait == {Engine.VECTOR}


def test_sync_only_where_words_conflict():
    instructions = built(load(0, 8), add(8, 0, 1), add(9, 2, 3), add(10, 8, 9), add(11, 4, 5))
    assert [i.sync for i in instructions[1:5]] == [0, 0, 1, 0]


def test_program_is_decodable_and_ends():
    builder = ProgramBuilder(CONFIG)
    builder.emit(load(0))
    program = builder.finish()
    assert len(program) == 128 and type(decode(program[64:])).__name__ == "End"
