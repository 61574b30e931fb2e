"""Random samples in the place of real ones."""

import pytest
import torch

from adagp.data import NAMES, Batches, load, options


def flat(value):
    return [value] if isinstance(value, torch.Tensor) else [each for part in value for each in flat(part)]


SIZES = {"synthetic-imagenet": {"size": 32}, "synthetic-voc": {"size": 32}}
SYNTHETIC = [name for name in NAMES if name.startswith("synthetic-")]


@pytest.mark.parametrize("name", SYNTHETIC)
@pytest.mark.parametrize("workers", [0, 1])
def test_samples_are_those_of_their_seed_and_resumed_bit_for_bit(name, workers):
    def batches(seed, **options):
        data = load(name, samples=7, seed=seed, **SIZES.get(name, {}))
        return Batches(data.train, batch=3, **options)

    whole = list(batches(2).epoch(1))
    tail = list(batches(2, workers=workers).epoch(1, 1))
    assert len(whole) == 3 and len(tail) == 2
    assert all(torch.equal(one, other) for one, other in zip(flat(tail), flat(whole[1:]), strict=True))
    inputs, other = flat(whole[0])[0], flat(next(batches(3).epoch(1)))[0]
    assert inputs.shape != other.shape or not torch.equal(inputs, other)


def test_every_data_set_has_a_synthetic_one():
    assert {name.removeprefix("synthetic-") for name in SYNTHETIC} == set(NAMES) - set(SYNTHETIC)


@pytest.mark.parametrize("name, shape, classes", [
    ("digits", (1, 8, 8), 10), ("cifar10", (3, 32, 32), 10), ("cifar100", (3, 32, 32), 100),
    ("imagenet", (3, 224, 224), 1000), ("voc", (3, 416, 416), 20)])
def test_shapes_and_classes_are_those_of_the_real_one(name, shape, classes):
    data = load(f"synthetic-{name}", samples=5)
    inputs, target = next(Batches(data.train, batch=2).epoch(0))
    assert (len(data.train), len(data.test), data.shape, data.classes) == (5, 2, shape, classes)
    assert inputs.shape == (2, *shape) and inputs.dtype == torch.float32 and len(target) == 2
    assert all(((0 <= labels) & (labels < classes)).all() for labels in (each[..., 0] if each.ndim else each for each in target))


def test_training_and_test_samples_differ():
    data = load("synthetic-digits", samples=4)
    (train, _), = Batches(data.train, batch=4, shuffle=False).epoch(0)
    (test, _), = Batches(data.test, batch=4, shuffle=False).epoch(0)
    assert not torch.equal(train[:1], test)


def test_objects_lie_in_their_images():
    data = load("synthetic-voc", samples=50, size=32)
    (inputs, target), = Batches(data.train, batch=50).epoch(0)
    objects = torch.cat(target)
    low, high = objects[:, 1:3] - objects[:, 3:5] / 2, objects[:, 1:3] + objects[:, 3:5] / 2
    assert (low > -1e-6).all() and (high < 1 + 1e-6).all() and {len(each) for each in target} == {1, 2, 3, 4, 5}
    assert 0 <= inputs.min() and inputs.max() <= 1


def test_sentences_are_of_their_vocabularies():
    data = load("synthetic-multi30k", samples=50, words=(9, 6))
    ((source, target_in), target_out), = Batches(data.train, batch=50).epoch(0)
    assert [len(vocabulary) for vocabulary in data.vocabularies] == [9, 6] and data.classes == 6
    assert source.max() == 8 and target_in.max() == target_out.max() == 5


def test_options_that_are_numbers_have_their_types():
    assert options("digits-noisy") == {"seed": int, "shift": int, "noise": float, "test_copies": int}
    assert options("cifar100") == {} and options("imagenet") == {"size": int}
    images = dict.fromkeys(("samples", "seed", "size", "classes", "channels"), int)
    assert options("synthetic-digits") == options("synthetic-cifar10") == images
    assert options("multi30k") == {"least": int, "length": int}
    assert options("synthetic-multi30k") == dict.fromkeys(("samples", "seed", "length"), int)


@pytest.mark.parametrize("name, option, message", [
    ("digits", {"samples": 0}, "samples must be an integer of at least 1, not 0"),
    ("digits", {"size": 0}, "size must be a positive multiple of 1, not 0"),
    ("digits", {"classes": 0}, "classes must be an integer of at least 1, not 0"),
    ("voc", {"size": 40}, "size must be a positive multiple of 32, not 40"),
    ("multi30k", {"words": (4, 9)}, r"words must be more than 4 in both languages, not \(4, 9\)"),
    ("multi30k", {"length": 2}, "length must be at least 3, not 2")])
def test_bad_option_is_refused(name, option, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        load(f"synthetic-{name}", **option)
