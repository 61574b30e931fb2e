"""Schedules by name."""

import pytest

from adagp.spec.named_schedule import named_schedule
from adagp.spec.schedule import Adaptive, Schedule

RULE = Adaptive(least=0, most=3, raise_at=0.2, lower_at=0.1)


@pytest.mark.parametrize("name, want", [
    ("paper", Schedule.paper(batches=900)),
    ("adaptive", Schedule(warmup=100, adaptive=RULE)),
    ("4:1", Schedule(warmup=100, gp=4, bp=1)),
    ("0:2", Schedule(warmup=100, gp=0, bp=2)),
    ("3:1e", Schedule(warmup=100, gp=30, bp=10))])
def test_names_say_which_schedule(name, want):
    assert named_schedule(name, batches=900, epoch=10, warmup=None, adaptive=RULE) == want


@pytest.mark.parametrize("name", ["paper", "adaptive", "4:1"])
def test_warm_up_can_be_chosen(name):
    assert named_schedule(name, batches=900, epoch=10, warmup=7, adaptive=RULE).warmup == 7


@pytest.mark.parametrize("name", ["", "sometimes", "4", "4:", ":1", "4:1 ", "-4:1", "4:1ee", "4.5:1", "٣:1"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="schedule must be paper, adaptive, K:M in batches or K:Me in epochs, not "):
        named_schedule(name, batches=900, epoch=10, warmup=None, adaptive=RULE)


def test_row_that_does_nothing_is_refused():
    with pytest.raises(ValueError, match="must not both be 0"):
        named_schedule("0:0", batches=900, epoch=10, warmup=None, adaptive=RULE)


def test_epochs_that_the_machine_cannot_count_are_refused():
    with pytest.raises(ValueError, match="Row.gp must be an integer from 0 to 65535, not 80000"):
        named_schedule("4:1e", batches=900_000, epoch=20_000, warmup=0, adaptive=RULE)
