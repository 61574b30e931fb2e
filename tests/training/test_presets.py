"""Settings of runs, and what others have chosen."""

from dataclasses import FrozenInstanceError

import pytest

from adagp.training.presets import PRESETS, Settings


def test_paper_trains_as_its_section_5_says():
    paper = PRESETS["paper"]
    assert (paper.optimizer, paper.lr, paper.momentum > 0, paper.predictor_lr) == ("sgd", 1e-3, True, 1e-4)
    assert (paper.lr_schedule, paper.lr_factor, paper.lr_patience) == ("plateau", 0.1, 10)  # PyTorch's defaults
    assert (paper.predictor, paper.predictor_lr_schedule, paper.schedule, paper.epochs) == ("paper", "multistep", "paper", 90)


def test_remapping_trains_as_its_section_v_says():
    remapping = PRESETS["remapping"]
    assert (remapping.optimizer, remapping.lr, remapping.momentum, remapping.predictor_lr) == ("sgd", 1e-3, 0.9, 1e-4)
    assert remapping.lr_schedule == remapping.predictor_lr_schedule == "plateau"
    assert (remapping.lr_factor, remapping.lr_patience, remapping.batch, remapping.epochs, remapping.warmup) == (0.5, 3, 32, 20, 5)
    assert remapping.predictor == "remapped" and remapping.predictor_options == {"outputs": 10000, "channels": 64, "size": 4}


def test_settings_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        PRESETS["paper"].epochs = 3


@pytest.mark.parametrize("wrong, message", [
    (dict(batch=0), "Settings.batch must be an integer of at least 1, not 0"),
    (dict(accumulate=1.5), "Settings.accumulate must be an integer of at least 1, not 1.5"),
    (dict(seed=-1), "Settings.seed must be an integer of at least 0, not -1"),
    (dict(warmup=4, epochs=3), "Settings.warmup must be an integer from 0 to epochs, which is 3, not 4"),
    (dict(optimizer="lion"), "Settings.optimizer must be sgd or adam, not 'lion'"),
    (dict(lr_schedule="step"), "Settings.lr_schedule must be none, plateau, multistep or cosine, not 'step'"),
    (dict(plateau="mse"), "Settings.plateau must be training or test, not 'mse'"),
    (dict(amp="fp8"), "Settings.amp must be none, bf16 or fp16, not 'fp8'"),
    (dict(lr=0.0), "Settings.lr must be above 0 and finite, not 0.0"),
    (dict(weight_decay=-0.1), "Settings.weight_decay must be at least 0 and finite, not -0.1"),
    (dict(momentum=float("inf")), "Settings.momentum must be at least 0 and finite, not inf"),
    (dict(approximate="top1:1"), "Settings.approximate must be none unless predictor is none, since predictors would "
     "learn from approximated gradients, not 'top1:1' with predictor 'paper'"),
    (dict(lr_factor=1.0), "Settings.lr_factor must be above 0 and below 1, not 1.0"),
    (dict(lr_milestones=(0.5, 0.2)), r"Settings.lr_milestones must be shares of the run, .*, not \(0.5, 0.2\)"),
    (dict(lr_milestones=(30, 80)), r"Settings.lr_milestones must be shares of the run, .*, not \(30, 80\)")])
def test_what_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**wrong)
