"""Footprints, tokens and distances of the program builder."""

import random
from dataclasses import replace

import pytest

from adagp.compiler.program import Footprint, ProgramBuilder
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import (
    Addend, Array, Engine, Fill, Format, Function, Load, Memory, Pass, PredictorArray, Store, Vector, decode)

from .rebuilding import rebuilt_programs_agree

CONFIG = AcceleratorConfig(rows=4, columns=4, bus_bits=64, predictor_rows=3, predictor_columns=3, design=Design.MAX)


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


def load(word, words=1, **options):
    return Load(**dict(memory=Memory.VECTOR, format=Format.FLOAT32, offset=0, destination=word * 4, length=4 * words) | options)


def add(d, a, b):
    return Vector(a=a, b=b, d=d, addend=Addend.B)


def store(word, offset=1024, **options):
    return Store(format=Format.FLOAT32, offset=offset, source=word * 4, length=4, **options)


def tile(kind, accumulator, **options):
    return kind(tag=Pass.PREDICTOR, columns=3, stream=0, stationary=0, accumulator=accumulator, stream_count0=2,
                row_count0=3, stream_stride0=3, row_stride0=3, **options)


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


def test_vector_instructions_wait_for_the_words_that_they_read():
    instructions = built(load(0, 8), add(8, 0, 1), add(9, 2, 3), add(10, 8, 2), add(11, 10, 5), add(0, 11, 9))
    assert [i.behind for i in instructions[1:6]] == [15, 15, 1, 0, 0]


def test_long_vector_instructions_follow_their_operands_word_by_word():
    form = dict(count0=20, a_stride0=1, b_stride0=1, d_stride0=1)
    add_20 = replace(add(0, 0, 20), **form)
    chain = built(add_20, add_20, replace(add_20, a=19, a_stride0=-1))[:-1]
    assert [(i.behind, i.each) for i in chain] == [(15, 0), (15, 1), (0, 0)]
    halves = replace(add_20, b=10, count0=10)
    assert [(i.behind, i.each) for i in built(add_20, halves, replace(halves, b=5, count0=5))[1:3]] == [(9, 1), (4, 1)]


def test_the_predictor_memory_is_a_place_of_its_own():
    kept, elsewhere, other, back = built(store(0, 64, local=1, base=1), load(1, offset=64), load(2, offset=80, local=1),
                                         load(3, offset=64, local=1))[:-1]
    assert kept.signal == {Engine.LOAD} and back.wait == {Engine.STORE}
    assert elsewhere.wait == other.wait == set()
    again = built(load(0, offset=64, local=1, base=1), store(1, 68, local=1, base=2), store(2, 80, local=1))
    assert again[0].signal == {Engine.STORE} and again[1].wait == {Engine.LOAD} and again[2].wait == set()


@pytest.mark.parametrize("memory, first, second", [
    (Memory.STREAM, Array, PredictorArray), (Memory.STATIONARY, Array, PredictorArray),
    (Memory.PREDICTOR_STREAM, PredictorArray, Array), (Memory.PREDICTOR_STATIONARY, PredictorArray, Array)])
def test_each_array_waits_for_its_own_memories(memory, first, second):
    """The two have accumulators apart; then the one waits for the other's."""
    filled, own, other, _ = built(Fill(memory=memory, destination=0, length=9), tile(first, 8), tile(second, 16))
    assert filled.signal == {first.engine} and own.wait == {Engine.LOAD} and other.wait == set()
    giver, taker, _ = built(tile(first, 8), tile(second, 9))
    assert giver.signal == {second.engine} and taker.wait == {first.engine}


def test_the_predictors_array_reads_chunks_of_its_own_rows():
    reads = dict(row_count1=2, row_stride1=9, chunk_stride=8)  # 6 rows: for 3 rows elements 0 to 5 and 8 to 13
    inside, gap = (Fill(memory=Memory.PREDICTOR_STREAM, destination=first, length=1, count0=2, destination_stride0=8)
                   for first in (5, 6))
    assert built(tile(PredictorArray, 8, **reads), inside)[1].wait == {Engine.PREDICTOR}
    assert built(tile(PredictorArray, 8, **reads), gap)[1].wait == set()


def test_a_report_waits_for_its_words_but_not_for_registers():
    def report(a, d):
        return Vector(function=Function.REPORT, a=a, d=d)
    loaded, made, told, again, beside, _ = built(load(0), add(4, 0, 0), report(4, 5), report(0, 5), add(5, 0, 0))
    assert loaded.signal == {Engine.VECTOR} and made.wait == {Engine.LOAD}
    assert (told.behind, again.behind, beside.behind) == (0, 15, 15)
    told, overwritten, _ = built(report(4, 0), load(4))
    assert told.signal == {Engine.LOAD} and overwritten.wait == {Engine.VECTOR}
    assert built(report(4, 9), load(9))[1].wait == set()


@pytest.mark.parametrize("design", [Design.EFFICIENT, Design.MAX])
def test_derived_tokens_keep_random_programs_free_of_races(design):
    def rebuilt(body):
        builder = ProgramBuilder(CONFIG.with_design(design))
        for instruction in body:
            builder.emit(instruction)
        return builder
    assert rebuilt_programs_agree(CONFIG.with_design(design), range(120), rebuilt) >= 10


def test_program_is_decodable_and_ends():
    builder = ProgramBuilder(CONFIG)
    builder.emit(load(0))
    program = builder.finish()
    assert len(program) == 128 and type(decode(program[64:])).__name__ == "End"
