"""The digits, plain and noisy."""

import sys

import pytest
import torch

from adagp.data import Batches, MissingData, load
from adagp.data.digits import digits


def everything(source):
    return next(Batches(source, batch=len(source), shuffle=False).epoch(0))


def test_digits_are_split_and_normalised():
    data = load("digits")
    inputs, labels = everything(data.train)
    assert (len(data.train), len(data.test), data.classes, data.shape) == (1437, 360, 10, (1, 8, 8))
    assert abs(inputs.mean()) < 1e-5 and abs(inputs.std() - 1) < 1e-5
    assert sorted(set(labels.tolist())) == list(range(10))


def test_digits_are_those_of_the_seed():
    from sklearn.datasets import load_digits

    images = torch.tensor(load_digits().images[:, None], dtype=torch.float32)
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(4))
    inputs, labels = everything(load("digits", seed=4).test)
    assert torch.equal(labels, torch.tensor(load_digits().target)[order[1437:]])
    kept = images[order[:1437]]
    assert torch.equal(inputs, (images[order[1437:]] - kept.mean()) / kept.std())


def test_noise_and_shifts_are_as_asked():
    inputs, _ = everything(load("digits-noisy", noise=0).train)
    clean = digits()[0]
    padded = torch.nn.functional.pad(clean, [1] * 4, value=clean.min())
    shifts = torch.stack([padded[:, :, y:y + 8, x:x + 8] for y in range(3) for x in range(3)])
    matches = (shifts == inputs).flatten(2).all(2)
    assert matches.any(0).all()
    assert (matches.sum(1) > 1437 / 9 * 0.75).all()  # each of the nine offsets about as often
    noise = everything(load("digits-noisy", shift=0).train)[0] - clean
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.6) < 0.01


def test_training_noise_is_fresh_and_test_noise_fixed():
    data = load("digits-noisy")
    for source, changes in ((data.train, True), (data.test, False)):
        (one, _), (other, _) = (next(Batches(source, batch=64, shuffle=False).epoch(number)) for number in (0, 1))
        assert torch.equal(one, other) is not changes
    assert torch.equal(everything(data.test)[0], everything(load("digits-noisy").test)[0])


def test_copies_of_test_images_differ_and_keep_their_labels():
    inputs, labels = everything(load("digits-noisy", test_copies=3).test)
    assert inputs.shape == (1080, 1, 8, 8) and not torch.equal(inputs[:360], inputs[360:720])
    assert torch.equal(labels.reshape(3, 360), digits()[3].expand(3, 360))


@pytest.mark.parametrize("option, message", [
    ({"shift": -1}, "shift must be at least 0, not -1"), ({"noise": -0.5}, "noise must be at least 0, not -0.5"),
    ({"test_copies": 0}, "test_copies must be at least 1, not 0")])
def test_bad_option_is_refused(option, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        load("digits-noisy", **option)


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingData, match="^digits come with scikit-learn, which is not installed: pip install [^\n]*$"):
        load("digits")
