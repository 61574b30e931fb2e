"""Blocks of well-known networks, compiled for every design: a batch of back-propagation and one of
Phase GP on the RTL against the golden machine, and on the golden machine without a race."""

from dataclasses import replace
from functools import cache

import pytest

from adagp.compiler import SGD, FeedbackConfig, PredictorConfig, Training, compile_training
from adagp.golden import GoldenMachine
from adagp.spec.config import Design, preset
from adagp.spec.schedule import Phase, Schedule
from adagp_flows.networks import SHRUNK
from adagp_tb.comparison import assert_same_training
from adagp_tb.rtl_machine import RtlMachine

CONFIG = replace(preset("tiny"), predictor_elements=1 << 17)
PAPER, FEEDBACK = PredictorConfig(size=4, channels=2), FeedbackConfig()
PREDICTORS = {"paper": PAPER, "feedback": FEEDBACK}
ON_RTL = [  # each block on two designs or more, each design and each predictor on two blocks or more
    ("VGG13", Design.BASELINE, "paper"), ("VGG13", Design.LOW, "paper"), ("VGG13", Design.MAX, "paper"),
    ("ResNet50", Design.LOW, "feedback"), ("ResNet50", Design.EFFICIENT, "paper"), ("ResNet50", Design.MAX, "paper"),
    ("DenseNet121", Design.LOW, "paper"), ("DenseNet121", Design.EFFICIENT, "feedback"),
    ("MobileNetV2", Design.BASELINE, "paper"), ("MobileNetV2", Design.LOW, "paper"), ("MobileNetV2", Design.MAX, "paper"),
    ("InceptionV3", Design.LOW, "feedback"), ("InceptionV3", Design.EFFICIENT, "paper"),
    ("Transformer", Design.EFFICIENT, "paper"), ("Transformer", Design.LOW, "feedback"), ("Transformer", Design.MAX, "paper"),
]


@cache
def compiled(name: str, design: Design, predictor: str) -> Training:
    """Trained twice, once on the golden machine alone: the most expensive part is compiled once."""
    block = SHRUNK[name]
    return compile_training(block.model(), CONFIG.with_design(design), batch=block.batch, input_shape=block.input_shape,
                            optimizer=SGD(lr=0.05), predictor=PREDICTORS[predictor], measure=True)


def schedule(training: Training) -> Schedule:
    """One batch of back-propagation, then one of Phase GP if there is such a program."""
    return Schedule(warmup=1, gp=1, bp=0) if Phase.GP in training.programs else Schedule(warmup=1)


def batches(training: Training) -> int:
    return 2 if Phase.GP in training.programs else 1


@pytest.mark.parametrize("name, design, predictor", [
    pytest.param(*case, marks=pytest.mark.xdist_group(case[1].name)) for case in ON_RTL])
def test_rtl_leaves_the_golden_bits(name, design, predictor):
    block, training = SHRUNK[name], compiled(name, design, predictor)
    size = training.image_bytes(batches(training))
    rtl, golden = RtlMachine(training.config, size), GoldenMachine(training.config, size)
    assert_same_training(training, block.model(), *block.samples(batches(training)), schedule(training), rtl, golden)
    assert rtl.counter("PHASE_BATCHES[0]") == 1 and rtl.counter("PHASE_BATCHES[2]") == batches(training) - 1


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("design", [pytest.param(design, marks=pytest.mark.xdist_group(design.name)) for design in Design])
@pytest.mark.parametrize("name", SHRUNK)
def test_tokens_order_all_conflicts(name, design, predictor):
    if predictor == "feedback" and design in (Design.BASELINE, Design.MAX):
        pytest.skip("has no predictor, or the programs of EFFICIENT")
    block, training = SHRUNK[name], compiled(name, design, predictor)
    machine = GoldenMachine(training.config, training.image_bytes(batches(training)), check=True)
    training.image(machine.memory, block.model(), *block.samples(batches(training)))
    training.configure(machine, batches(training), schedule(training))
    machine.run()
    trained = block.model()
    training.read_model(machine.memory, trained)
    for (parameter, before), after in zip(block.model().named_parameters(), trained.parameters()):
        assert after.isfinite().all() and not after.equal(before), parameter
