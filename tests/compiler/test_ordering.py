"""The order of issue: what it may change, and what it gains."""

import random

import pytest

from adagp.compiler.ordering import MAIN, SIDE, Recorder
from adagp.compiler.program import Purpose
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import Array, Fill, Format, Load, Memory, Pass, Vector

from .rebuilding import rebuilt_programs_agree

CONFIG = AcceleratorConfig(rows=4, columns=4, bus_bits=64, vector_words=1024, design=Design.MAX, queue_depth=4)


@pytest.mark.parametrize("threads", [(MAIN,), (MAIN, SIDE)])
def test_random_programs_do_the_same_in_another_order(threads):
    """Threads and operations are whatever they are; program order decides."""
    moved = 0

    def rebuilt(body):
        nonlocal moved
        rng, recorder = random.Random(len(body)), Recorder(CONFIG)
        for number, instruction in enumerate(body):
            recorder.record(rng.choice(threads), instruction, Purpose(layer=str(rng.randrange(number + 1) // 4)))
        builder = recorder.program()
        kinds = [type(instruction) for instruction in builder.instructions()[:-1]]
        assert sorted(kinds, key=str) == sorted(map(type, body), key=str)
        moved += kinds != [type(instruction) for instruction in body]
        return builder
    assert rebuilt_programs_agree(CONFIG, range(60), rebuilt) >= 10
    assert moved > 5


def load(destination: int, length: int = 16) -> Load:
    return Load(memory=Memory.STREAM, format=Format.OPERAND, base=0, offset=2 * destination, destination=destination,
                length=length)


def tile(stream: int, word: int, vectors: int = 400) -> Array:
    return Array(tag=Pass.FORWARD, columns=4, stream=stream, stationary=0, accumulator=word, stream_count0=vectors,
                 row_count0=4)


def vector(d: int) -> Vector:
    return Vector(a=d, d=d)


def order(*threads) -> list[str]:
    """Texts of the instructions, (thread, operation, instruction) each, as they are issued."""
    recorder = Recorder(CONFIG)
    for thread, operation, instruction in threads:
        recorder.record(thread, instruction, Purpose(layer=operation))
    program = recorder.program()
    return [f"{type(i).__name__} {getattr(i, 'destination', getattr(i, 'accumulator', getattr(i, 'd', '')))}"
            for i in program.instructions()[:-1]]


def test_a_load_that_could_start_early_is_issued_before_what_must_wait():
    """More vector instructions wait for the array than their queue holds."""
    waiting = [(MAIN, "a", vector(word)) for word in range(6)]
    got = order((MAIN, "a", load(0)), (MAIN, "a", tile(0, 0)), *waiting, (MAIN, "a", load(64)), (MAIN, "a", tile(64, 512)))
    assert got[:4] == ["Load 0", "Load 64", "Array 0", "Array 512"] and len(got) == 10


def test_an_operation_begins_before_the_one_before_it_has_ended():
    """Its vector instruction needs nothing of the tile that the other's waits for, in another bank."""
    assert order((MAIN, "a", tile(0, 0)), (MAIN, "a", vector(0)), (MAIN, "b", vector(900))) == [
        "Array 0", "Vector 900", "Vector 0"]
    assert order((MAIN, "a", tile(0, 0)), (MAIN, "a", vector(0)), (MAIN, "a", vector(900))) == [
        "Array 0", "Vector 0", "Vector 900"]


def test_the_side_thread_takes_time_that_the_main_one_has_not():
    """The vector unit is idle until the tile is complete."""
    fill = Fill(memory=Memory.PREDICTOR_STREAM, destination=0, length=8)
    side = [(SIDE, "p", vector(900)), (SIDE, "p", fill)]
    got = order((MAIN, "a", tile(0, 0)), (MAIN, "a", vector(0)), *side)
    assert got.index("Vector 900") < got.index("Vector 0")


def test_words_in_a_bank_that_an_array_adds_to_come_later():
    """A vector instruction in the bank of the tile would wait for all of it."""
    got = order((MAIN, "a", tile(0, 0)), (MAIN, "b", vector(100)), (MAIN, "c", vector(900)))
    assert got == ["Array 0", "Vector 900", "Vector 100"]
