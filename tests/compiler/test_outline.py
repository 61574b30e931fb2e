"""The outline of a training against the programs that are compiled of it."""

from collections import Counter
from dataclasses import replace

import pytest

from adagp.compiler import FeedbackConfig, PredictorConfig, compile_training
from adagp.compiler.ordering import MAIN, SIDE
from adagp.compiler.outline import outline
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import INSTRUCTION_BYTES, End, Instruction, PredictorArray, Vector, decode
from adagp_flows.networks import SHRUNK
from adagp_tb.random_networks import random_network

CONFIG = AcceleratorConfig(rows=4, columns=4, bus_bits=64, vector_words=2048, vector_banks=8, stream_elements=8192,
                           stationary_elements=8192, predictor_elements=1 << 18)
PREDICTOR = PredictorConfig(size=4, channels=2)


def bare(instruction: Instruction) -> Instruction:
    """Without what keeps the overlapped execution equal to the sequential one."""
    without = replace(instruction, wait=frozenset(), signal=frozenset())
    return replace(without, behind=0, each=0) if isinstance(without, Vector) else without


def agrees(model, design: Design, **options) -> bool:
    config = CONFIG.with_design(design)
    training = compile_training(model, config, **options)
    entries = outline(model, config, **options)
    assert list(entries) == list(training.programs)
    for phase, program in training.programs.items():
        *compiled, end = (decode(program[place:place + INSTRUCTION_BYTES])
                          for place in range(0, len(program), INSTRUCTION_BYTES))
        assert isinstance(end, End)
        want = Counter(zip(map(bare, compiled), training.purposes[phase]))
        assert Counter((bare(entry.instruction), entry.purpose) for entry in entries[phase]) == want
        for entry in entries[phase]:
            assert entry.thread == MAIN or design is Design.MAX
            assert not isinstance(entry.instruction, PredictorArray) or entry.thread == SIDE
    return True


@pytest.mark.parametrize("design", Design)
@pytest.mark.parametrize("name", SHRUNK)
def test_blocks_have_the_instructions_of_their_programs(name, design):
    block = SHRUNK[name]
    assert agrees(block.model(), design, batch=block.batch, input_shape=block.input_shape, predictor=PREDICTOR)


@pytest.mark.parametrize("design", [Design.LOW, Design.EFFICIENT, Design.MAX])
def test_feedback_has_the_instructions_of_its_programs(design):
    block = SHRUNK["VGG13"]
    assert agrees(block.model(), design, batch=block.batch, input_shape=block.input_shape, predictor=FeedbackConfig())


@pytest.mark.parametrize("seed", range(4))
def test_random_networks_have_the_instructions_of_their_programs(seed):
    network = random_network(seed)
    assert agrees(network.model, Design(seed % 4), batch=network.batch, input_shape=network.input_shape,
                  predictor=network.predictor)
