import torch
from torch import nn

from adagp.training import CONTROLS, LearnedFeedback, PaperPredictor
from adagp_flows.phase_costs import PhaseCosts, phase_costs

CONV, LINEAR = 4 * 9 * 2 * 36, 144 * 5
"""Multiply-accumulates of a sample."""


def model():
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


def costs(predictor, batch=10):
    return phase_costs(model(), torch.zeros(batch, 2, 6, 6), predictor)


def test_the_first_layer_needs_no_gradient_of_its_input():
    assert costs(CONTROLS["zero"]()) == PhaseCosts(plain=10 * (2 * CONV + 3 * LINEAR), bp=10 * (2 * CONV + 3 * LINEAR), gp=0)


def test_paper():
    """Each output channel: 3×3 convolution of 4×4 pixels to 2 channels, 8 features to its weights."""
    forward = 4 * (9 * 2 * 16 + 8 * 18) + 5 * (9 * 2 * 16 + 8 * 144)
    means = 10 * (144 + 5)
    result = costs(PaperPredictor(size=4, channels=2))
    assert result.gp == 10 * (CONV + LINEAR) + means + forward
    assert result.bp - result.plain == means + 3 * forward


def test_feedback():
    result = costs(LearnedFeedback())
    assert result.bp - result.plain == 5 * 10 * (144 + 5) + 25 * 10
    assert result.gp == 10 * (CONV + LINEAR) + 25 * (144 + 5) + 5 * 10 * (72 + 144) + (CONV + LINEAR) * 5


def test_masks():
    result = costs(LearnedFeedback(masks=True))
    assert result.gp == 2 * 10 * (CONV + LINEAR) + 25 * (144 + 5) + 5 * 10 * (144 + 5)


def test_time_is_in_batches_of_plain_back_propagation():
    assert PhaseCosts(plain=10, bp=12, gp=4).time(bp=5, gp=10) == 10
