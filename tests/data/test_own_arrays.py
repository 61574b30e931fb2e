"""One's own data, and classification."""

import numpy as np
import pytest
import torch

from adagp.data import CLASSIFICATION, Batches, arrays, load

DATA, LABELS = torch.randn(6, 2, 3), torch.tensor([0, 1, 2, 0, 1, 3])


def test_arrays_become_a_data_set():
    data = arrays(DATA.numpy(), LABELS.numpy().astype(np.int32), DATA[:2], LABELS[:2], name="mine")
    (inputs, target), = Batches(data.train, batch=6, shuffle=False).epoch(0)
    assert torch.equal(inputs, DATA) and torch.equal(target, LABELS) and target.dtype == torch.int64
    assert (data.name, data.classes, data.shape, len(data.test)) == ("mine", 4, (2, 3), 2)


@pytest.mark.parametrize("change, message", [
    ({"data": DATA[:0], "labels": LABELS[:0]}, r"data must not be empty, but has the shape \(0, 2, 3\)"),
    ({"test_data": DATA[:0], "test_labels": LABELS[:0]}, r"test_data must not be empty, but has the shape \(0, 2, 3\)"),
    ({"labels": LABELS[:5]}, "labels must be as many as the 6 samples of data, not 5"),
    ({"test_labels": LABELS[:5]}, "test_labels must be as many as the 6 samples of test_data, not 5"),
    ({"labels": LABELS - 1}, "labels must be class numbers from 0 to 3, not -1"),
    ({"classes": 3}, "labels must be class numbers from 0 to 2, not 3"),
    ({"labels": LABELS.float()}, r"labels must be one-dimensional integers, not torch.float32 of the shape \(6,\)"),
    ({"test_data": DATA[:, :1]}, r"test_data must hold samples of the shape \(2, 3\) of data's, not \(1, 3\)")])
def test_bad_array_is_refused(change, message):
    given = {"data": DATA, "labels": LABELS, "test_data": DATA, "test_labels": LABELS, **change}
    with pytest.raises(ValueError, match=f"^{message}$"):
        arrays(**given)


def test_accuracy_is_counted():
    logits = torch.tensor([[2.0, 1, 0], [0, 3, 1], [0, 1, 2], [5, 0, 0]])
    assert CLASSIFICATION.score(logits, torch.tensor([0, 1, 1, 0])) == (3.0, 4)


def test_loss_is_the_mean_negative_log_likelihood():
    logits, labels = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])
    likelihood = logits.exp() / logits.exp().sum(1, keepdim=True)
    want = -sum(likelihood[i, label].log() for i, label in enumerate(labels)) / 5
    torch.testing.assert_close(CLASSIFICATION.loss(logits, labels), want)


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="^name must be one of digits, .*, not 'digit'$"):
        load("digit")
