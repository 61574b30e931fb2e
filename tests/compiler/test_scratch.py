"""Room in the scratchpads, and emitters that share a machine."""

import pytest

from adagp.compiler.emitter import Emitter
from adagp.compiler.program import CompileError
from adagp.compiler.scratch import Scratch
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.isa import Array, Engine, Memory, Pass, PredictorArray

CONFIG = AcceleratorConfig(rows=4, columns=4, design=Design.MAX, vector_words=1024, predictor_stream_elements=2048)


def words_of(scratch: Scratch) -> set[int]:
    """Every word that two operations after each other can get."""
    words = set()
    for operation in ("one", "two"):
        scratch.begin(operation)
        for bank in range(4):
            start = scratch.vector(scratch.bank_words, bank)
            words |= set(range(start, start + scratch.bank_words))
    return words


def test_whole_vector_memory_is_handed_out():
    assert words_of(Scratch(CONFIG)) == set(range(1024))


def test_some_banks_are_handed_out_alone():
    assert words_of(Scratch(CONFIG, banks=(0, 2))) == {*range(0, 256), *range(512, 768)}
    assert words_of(Scratch(CONFIG, banks=[3])) == set(range(768, 1024))


def test_two_banks_are_divided_so_that_four_can_be_asked_for():
    assert words_of(Scratch(AcceleratorConfig(rows=4, columns=4, vector_words=256, vector_banks=2))) == set(range(256))


def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="Scratch.banks must be some of 4 banks"):
        Scratch(CONFIG, banks=(3, 4))
    scratch = Scratch(CONFIG, Engine.PREDICTOR)
    scratch.begin("conv1")
    with pytest.raises(CompileError, match=r"conv1: needs 2049 of AcceleratorConfig.predictor_stream_elements, .* 2048"):
        scratch.stream(2049)


@pytest.mark.parametrize("engine, instruction, stream, stationary, rows", [
    (Engine.ARRAY, Array, Memory.STREAM, Memory.STATIONARY, 4),
    (Engine.PREDICTOR, PredictorArray, Memory.PREDICTOR_STREAM, Memory.PREDICTOR_STATIONARY, 2)])
def test_emitter_speaks_to_its_array(engine, instruction, stream, stationary, rows):
    e = Emitter(CONFIG, engine)
    assert (e.stream, e.stationary, e.array_shape.rows) == (stream, stationary, rows)
    e.array(tag=Pass.PREDICTOR, columns=1, stream=0, stationary=0, accumulator=0, stream_count0=1, row_count0=1)
    assert type(e.builder.instructions()[0]) is instruction


def test_emitters_append_to_one_program():
    main = Emitter(CONFIG, scratch=Scratch(CONFIG, banks=range(3)))
    predictor = Emitter(CONFIG, Engine.PREDICTOR, main.builder, Scratch(CONFIG, Engine.PREDICTOR, banks=[3]))
    for e in (main, predictor):
        e.vector(e.scratch.vector(1, 0), e.scratch.vector(1, 1), 1)
    assert len(main.builder) == 2


def test_array_that_a_design_lacks_is_refused():
    with pytest.raises(ValueError, match="Emitter.array must be an array of design BASELINE"):
        Emitter(preset("tiny"), Engine.PREDICTOR)
