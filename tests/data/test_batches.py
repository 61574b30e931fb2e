"""Order, augmentation and resumption of batches."""

import multiprocessing
import os
import signal
import subprocess

import pytest
import torch

from adagp.data import Batches
from adagp.data.sources import ArraySource
from adagp.data.augmentation import shifted


class Noted:
    """A source of numbers that notes what is asked of it."""

    def __init__(self, count: int):
        self.count, self.asked = count, []

    def __len__(self):
        return self.count

    def batch(self, indices, generator):
        self.asked.append(indices)
        return torch.tensor(indices), torch.rand(len(indices), generator=generator)


def images(count: int = 23) -> ArraySource:
    data = torch.arange(count * 12.0).reshape(count, 1, 4, 3)
    return ArraySource(data, torch.arange(count), lambda batch, generator: shifted(batch, 1, generator))


def assert_same(got, want):
    got, want = list(got), list(want)
    assert len(got) == len(want)
    for (inputs, target), (wanted_inputs, wanted_target) in zip(got, want, strict=True):
        assert torch.equal(inputs, wanted_inputs) and torch.equal(target, wanted_target)


@pytest.mark.parametrize("source", [Noted(23), images()], ids=["numbers", "augmented"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("first", [0, 1, 4, 6])
def test_resumed_epoch_is_the_tail_of_the_whole(source, workers, first):
    whole = list(Batches(source, batch=4, seed=5).epoch(3))
    assert_same(Batches(source, batch=4, seed=5, workers=workers).epoch(3, first), whole[first:])


def test_skipped_batches_are_not_drawn():
    source = Noted(10)
    assert len(list(Batches(source, batch=4).epoch(0, 2))) == len(source.asked) == 1


def test_an_epoch_visits_every_sample_once():
    seen = torch.cat([inputs for inputs, _ in Batches(Noted(23), batch=4).epoch(0)])
    assert sorted(seen.tolist()) == list(range(23)) != seen.tolist()


@pytest.mark.parametrize("other", [{"seed": 1}, {"number": 1}])
def test_seed_and_epoch_change_order_and_augmentation(other):
    number = other.pop("number", 0)
    (inputs, drawn), = Batches(Noted(50), batch=50).epoch(0)
    (other_inputs, other_drawn), = Batches(Noted(50), batch=50, **other).epoch(number)
    assert not torch.equal(inputs, other_inputs) and not torch.equal(drawn, other_drawn)


def test_batches_of_an_epoch_are_augmented_differently():
    first, second = (drawn for _, drawn in Batches(Noted(8), batch=4).epoch(0))
    assert not torch.equal(first, second)


def test_without_shuffling_samples_come_in_their_order():
    batches = Batches(Noted(5), batch=2, shuffle=False)
    assert [inputs.tolist() for inputs, _ in batches.epoch(7)] == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("drop_last, sizes", [(False, [4, 4, 2]), (True, [4, 4])])
def test_last_batch_is_dropped_on_request(drop_last, sizes):
    batches = Batches(Noted(10), batch=4, drop_last=drop_last)
    assert [len(inputs) for inputs, _ in batches.epoch(0)] == sizes and len(batches) == len(sizes)


@pytest.mark.parametrize("workers", [0, 1])
def test_global_generator_is_left_alone(workers):
    torch.manual_seed(3)
    list(Batches(images(), batch=8, workers=workers).epoch(0))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))


@pytest.mark.parametrize("parameters, message", [
    ({"batch": 0}, "Batches.batch must be an integer of at least 1, not 0"),
    ({"batch": 2, "seed": -1}, "Batches.seed must be an integer of at least 0, not -1"),
    ({"batch": 2, "workers": -1}, "Batches.workers must be an integer of at least 0, not -1"),
    ({"batch": 9, "drop_last": True}, "Batches.source must hold at least one batch of 9 samples, not 8")])
def test_bad_parameter_is_refused(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Batches(Noted(8), **parameters)


def test_empty_source_is_refused():
    with pytest.raises(ValueError, match="^Batches.source must hold at least one batch of 1 samples, not 0$"):
        Batches(Noted(0), batch=4)


def test_first_batch_beyond_the_epoch_is_refused():
    with pytest.raises(ValueError, match="^Batches.epoch: first must be from 0 to 2, not 3$"):
        Batches(Noted(8), batch=4).epoch(0, 3)


def test_processes_outlive_signals_of_others_and_follow_their_parent():
    batches = Batches(images(12), batch=2, seed=3, workers=2)
    epoch = batches.epoch(0)
    first = next(epoch)
    workers = multiprocessing.active_children()
    for worker in workers:
        for number in ("-INT", "-TERM"):
            subprocess.run(["kill", number, str(worker.pid)], check=True)
    assert_same([first, *epoch], list(Batches(images(12), batch=2, seed=3).epoch(0)))
    epoch = batches.epoch(1)
    next(epoch)
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker.pid, signal.SIGTERM)
        worker.join(10)
        assert worker.exitcode == 0
