"""The checker finds races and broken rules, and nothing else."""

import random
from contextlib import nullcontext
from dataclasses import replace
from itertools import product

import pytest
from literal import LiteralMachine

from adagp.golden import ProgramError
from adagp.golden.check import Checker, check_instruction
from adagp.spec.config import Design, preset
from adagp.spec.isa import (
    Addend, Array, Engine, Fill, Format, Function, Load, Memory, Multiplier, Pass, PredictorArray, Store, Vector)
from adagp_tb.random_programs import MEMORY_BYTES, random_program

TINY = preset("tiny").with_design(Design.MAX)
LANES = TINY.vector_lanes


def check(program, bases=(0,) * 8):
    checker = Checker(TINY, MEMORY_BYTES)
    for instruction in program:
        checker.issue(instruction, list(bases))


def load(**options) -> Load:
    return Load(**dict(memory=Memory.VECTOR, format=Format.FLOAT32, base=0, offset=0, destination=0, length=8) | options)


def store(**options) -> Store:
    return Store(**dict(format=Format.FLOAT32, base=0, offset=0x800, source=0, length=8) | options)


def vector(**options) -> Vector:
    return Vector(**dict(a=0, d=0, count0=2, a_stride0=1, d_stride0=1) | options)


def tile(kind=Array, **options) -> Array:
    return kind(**dict(tag=Pass.FORWARD, columns=4, stream=0, stationary=0, accumulator=0, stream_count0=2, row_count0=3,
                       stream_stride0=4, row_stride0=4) | options)


def report(**options) -> Vector:
    return vector(function=Function.REPORT, **options)


TO_STORE, FROM_LOAD = dict(signal={Engine.STORE}), dict(wait={Engine.LOAD})


def test_a_token_orders_a_conflict():
    check([load(**TO_STORE), store(**FROM_LOAD)])


@pytest.mark.parametrize("first, second, place", [
    (load(), store(), "element 0 of VECTOR"),
    (store(source=4), load(destination=8, length=4), "element 8 of VECTOR"),
    (load(), vector(), "element 0 of VECTOR"),
    (vector(a=2, d=0), store(source=4), "element 4 of VECTOR"),
    (load(memory=Memory.STREAM), tile(), "element 0 of STREAM"),
    (tile(), Fill(memory=Memory.STATIONARY, destination=8, length=1), "element 8 of STATIONARY"),
    (tile(), vector(d=4, a=1), "element 4 of VECTOR"),
    (tile(accumulator=7), store(source=8 * LANES), "element 32 of VECTOR"),
    (store(source=64), load(offset=0x81E, format=Format.OPERAND, length=2, destination=128), "external memory at 0x81e"),
    (store(local=1), load(local=1, offset=0x81E, format=Format.OPERAND, length=2, destination=128), "predictor memory at 0x81e"),
    (load(local=1, destination=128), store(local=1, offset=0x1C), "predictor memory at 0x1c"),
    (load(memory=Memory.PREDICTOR_STREAM), tile(PredictorArray), "element 0 of PREDICTOR_STREAM"),
    (tile(PredictorArray), Fill(memory=Memory.PREDICTOR_STATIONARY, destination=8, length=1), "element 8 of PREDICTOR_STATIONARY"),
    (tile(), tile(PredictorArray, accumulator=1), "element 4 of VECTOR"),
    (load(), report(), "element 0 of VECTOR"),
    (report(a=2), load(destination=15, length=1), "element 15 of VECTOR")],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__)
def test_a_conflict_without_token_is_found(first, second, place):
    with pytest.raises(ProgramError, match=f"no token orders instruction 0 .* and instruction 1 .*use {place}"):
        check([first, second])


@pytest.mark.parametrize("first, second", [
    (store(), vector(d=2, a=0)),                                      # both read
    (load(length=1, count0=8, destination_stride0=2), store(source=1, length=1, count0=8, source_stride0=2, destination_stride0=4)),  # interleaved
    (load(offset=0x800, memory=Memory.STREAM), load(offset=0x800, memory=Memory.STATIONARY)),
    (tile(), Fill(memory=Memory.STREAM, destination=3, length=1)),    # row beyond the contraction
    (tile(columns=3), Fill(memory=Memory.STATIONARY, destination=3, length=1)),
    (store(), load(offset=0x820, destination=64)),
    (vector(function=Function.RSQRT, b=8), load(destination=8 * LANES)),
    (store(local=1), load(offset=0x800, destination=64)),             # another memory
    (store(local=1, base=1), load(local=1, offset=0x820, destination=64)),
    (load(memory=Memory.PREDICTOR_STREAM), tile()),
    (tile(), Fill(memory=Memory.PREDICTOR_STATIONARY, destination=0, length=8)),
    (Fill(memory=Memory.PREDICTOR_STREAM, destination=2, length=1), tile(PredictorArray, row_count0=2)),  # beyond the contraction
    (report(d=0), load(length=4, destination=32)),                    # d is a register, not a word
    (report(b=8, addend=Addend.B), load(destination=8 * LANES))],
    ids=lambda value: type(value).__name__)
def test_what_does_not_conflict_needs_no_token(first, second):
    check([first, second])


def test_order_carries_through_other_engines():
    check([load(signal={Engine.VECTOR}), vector(a=8, d=8, wait={Engine.LOAD}, **TO_STORE), store(wait={Engine.VECTOR})])


def test_order_does_not_carry_backwards():
    """The token was given before the load that matters."""
    with pytest.raises(ProgramError, match="instruction 1 .* and instruction 2"):
        check([load(destination=64, **TO_STORE), load(), store(**FROM_LOAD)])


def test_a_token_also_orders_what_came_before_its_giver():
    check([load(), load(destination=64, **TO_STORE), store(**FROM_LOAD)])


def test_words_of_the_vector_unit_are_read_when_they_are_written():
    """Each instruction has two words."""
    close, word_by_word = dict(behind=15), dict(behind=1, each=1)
    check([vector(), vector(a=0, d=8), vector(a=16, d=24, **close)])
    check([vector(a=4, d=8), vector(a=16, d=4, **close)])  # reads come in order, and so do writes
    for last, broken in ((vector(a=8, d=16, **close), True), (vector(a=8, d=16), False),
                         (vector(a=8, d=16, behind=1), True), (vector(a=8, d=16, **word_by_word), False),
                         (vector(a=9, d=16, **word_by_word), True), (vector(a=9, d=16, behind=0, each=1), False),
                         (vector(a=9, d=16, a_stride0=0), False), (report(a=9, d=0, **close), True)):
        with pytest.raises(ProgramError, match="instruction 1 .* reads word [89], which instruction 0 .* may not have"
                           ) if broken else nullcontext():
            check([vector(a=0, d=8), last])
    between = [vector(a=32, d=40 + 2 * number, **close) for number in range(7)]
    check([vector(a=0, d=8), *between, vector(a=7, d=16, **close)])
    check([vector(a=0, d=8), *between, vector(a=8, d=16, **close)])
    for last, broken in ((vector(a=8, d=16, behind=12), False), (vector(a=8, d=16, behind=13), True),
                         (vector(a=8, d=16, behind=13, each=1), False)):
        with pytest.raises(ProgramError, match="may not have written") if broken else nullcontext():
            check([vector(a=0, d=8), *between[1:], last])
    check([vector(a=0, d=8), vector(a=32, d=40), vector(a=8, d=16, **close)])  # what one has waited for holds for all
    check([report(a=24, d=0), vector(a=16, d=24, **close)])


def test_rules_within_an_instruction():
    for broken, message in (
            (vector(d_stride0=0), "writes a word twice"),
            (vector(d=1), "reads at a a word that it writes at another loop index"),
            (vector(a=8, b=1, b_stride0=-1, addend=Addend.B), "reads at b a word that it writes at another"),
            (vector(function=Function.MAXIMUM), "needs addend B or T"),
            (load(count0=2, destination_stride0=7, source_stride0=64), "writes an address of VECTOR twice"),
            (store(count0=2, destination_stride0=30), "writes an address of EXTERNAL twice"),
            (store(count0=2, destination_stride0=30, local=1), "writes an address of LOCAL twice"),
            (tile(PredictorArray, stream_count0=1025), "visits more words per tile than the 1024"),
            (tile(stream_count0=1025), "visits more words per tile than the 1024")):
        with pytest.raises(ProgramError, match=f"instruction 5 .*{message}"):
            check_instruction(broken, TINY, 5)
    check_instruction(vector(a=8, b=1, b_stride0=-1), TINY)  # b is not read
    check_instruction(report(a=0, d=0, d_stride0=0), TINY)   # nor is d a word


def ordered_pairs(program) -> set[tuple[int, int]]:
    """Happens-before by search on the graph of tokens and engine order; distances within the vector unit left out."""
    edges = {number: set() for number in range(len(program))}
    for engine in Engine:
        same = [number for number, i in enumerate(program) if i.engine == engine]
        for first, second in zip(same, same[1:]):
            edges[first].add(second)
    for giver, taker in product(Engine, repeat=2):
        given = [number for number, i in enumerate(program) if i.engine == giver and taker in i.signal]
        taken = [number for number, i in enumerate(program) if i.engine == taker and giver in i.wait]
        for first, second in zip(given, taken):
            edges[first].add(second)
    reached = set()
    for start in edges:
        seen, border = set(), [start]
        while border:
            for after in edges[border.pop()] - seen:
                seen.add(after)
                border.append(after)
        reached |= {(start, other) for other in seen}
    return reached


def touched(instruction, bases):
    """(reads, writes) as sets of places, one loop index at a time; the vector unit reads whole words."""
    if isinstance(instruction, Vector) and Multiplier.B != instruction.multiplier and Addend.B != instruction.addend:
        instruction = replace(instruction, b=instruction.a, b_stride0=instruction.a_stride0,
                              b_stride1=instruction.a_stride1, b_stride2=instruction.a_stride2)

    class Recorder(list):
        def __init__(self, name, size, log):
            super().__init__([0] * size)
            self.name, self.log = name, log

        def __getitem__(self, key):
            for place in range(*key.indices(len(self))) if isinstance(key, slice) else [key]:
                self.log[0].add((self.name, place))
            return super().__getitem__(key)

        def __setitem__(self, key, value):
            for place in range(*key.indices(len(self))) if isinstance(key, slice) else [key]:
                self.log[1].add((self.name, place))
            super().__setitem__(key, value)

    log = (set(), set())
    machine = LiteralMachine(TINY, b"")
    for name in ("stream", "stationary", "vector", "predictor_stream", "predictor_stationary"):
        setattr(machine, name, Recorder(name, len(getattr(machine, name)), log))
    machine.memory, machine.predictor_memory = _RecordedBytes("external", log), _RecordedBytes("local", log)
    machine.execute(instruction, bases)
    if isinstance(instruction, Vector):
        log[0].update(("vector", place // LANES * LANES + lane) for _, place in list(log[0]) for lane in range(LANES))
    return log


class _RecordedBytes:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def __getitem__(self, key):
        self.log[0].update((self.name, place) for place in range(key.start, key.stop))
        return bytes(key.stop - key.start)

    def __setitem__(self, key, value):
        self.log[1].update((self.name, place) for place in range(key.start, key.stop))


def is_racy(program, places) -> bool:
    ordered = ordered_pairs(program)
    for second in range(len(program)):
        for first in range(second):
            if program[first].engine != program[second].engine and (first, second) not in ordered:
                (r1, w1), (r2, w2) = places[first], places[second]
                if w1 & (r2 | w2) or r1 & w2:
                    return True
    return False


def test_verdicts_agree_with_a_search_on_all_pairs():
    """Takes random tokens away from random programs; some matter, some were redundant."""
    verdicts = []
    for seed in range(8):
        program = random_program(TINY, seed, length=14, overlap=True)
        body = [replace(i, behind=0, each=0) if isinstance(i, Vector) else i for i in program.instructions[:16]]
        places = [touched(i, program.bases) for i in body]
        rng = random.Random(seed)
        for _ in range(12):
            changed = _without_some_tokens(body, rng)
            verdicts.append(is_racy(changed, places))
            with pytest.raises(ProgramError, match="no token orders") if verdicts[-1] else nullcontext():
                check(changed, program.bases)
    assert True in verdicts and False in verdicts


def _without_some_tokens(body, rng):
    """Removes one or two matched pairs of signal and wait."""
    body = list(body)
    for _ in range(rng.choice([1, 1, 2])):
        pairs = []
        for giver, taker in product(Engine, repeat=2):
            given = [n for n, i in enumerate(body) if i.engine == giver and taker in i.signal]
            taken = [n for n, i in enumerate(body) if i.engine == taker and giver in i.wait]
            pairs += list(zip(given, taken))
        if pairs:
            first, second = rng.choice(pairs)
            body[first] = replace(body[first], signal=body[first].signal - {body[second].engine})
            body[second] = replace(body[second], wait=body[second].wait - {body[first].engine})
    return body
