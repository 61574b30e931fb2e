"""Learning rates by name."""

import pytest
import torch

from adagp.training.rates import RATE_SCHEDULES, rate
from adagp.training.records import EpochRecord


def rates(name, losses, *, milestones=(0.5,), follows="loss"):
    """The learning rate of each epoch."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    made = rate(name, optimizer, epochs=len(losses), factor=0.5, patience=1, milestones=milestones, follows=follows)
    seen = []
    for epoch, loss in enumerate(losses):
        seen.append(optimizer.param_groups[0]["lr"])
        if made:
            made.step(EpochRecord(epoch=epoch + 1, steps=epoch, loss=loss, test_loss=1.0, metric=0.0, batches={}, seconds={},
                                  test_seconds=0.0, learning_rate=seen[-1], predictor_learning_rate=None, quality={}))
    return seen


@pytest.mark.parametrize("name, want", [
    ("none", [1, 1, 1, 1, 1, 1]), ("plateau", [1, 1, 1, 1, 0.5, 0.5]), ("multistep", [1, 1, 1, 0.5, 0.5, 0.5]),
    ("cosine", [(1 + c) / 2 for c in (1, 0.75 ** 0.5, 0.5, 0, -0.5, -0.75 ** 0.5)])])
def test_names_say_how_it_falls(name, want):
    assert name in RATE_SCHEDULES
    assert rates(name, [3, 2, 2, 2, 1, 0.5]) == pytest.approx(want)


def test_plateau_looks_at_what_it_follows():
    assert rates("plateau", [6, 5, 4, 3, 2, 1], follows="test_loss") == [1, 1, 1, 0.5, 0.5, 0.25]


def test_milestones_are_shares_of_the_run():
    assert rates("multistep", [1] * 9, milestones=(1 / 3, 8 / 9)) == [1] * 3 + [0.5] * 5 + [0.25]


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="name must be one of none, plateau, multistep, cosine, not 'step'"):
        rates("step", [1])
