"""Learned feedback on its own; as part of training it is tested with AdaGP."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from adagp.training import AdaGP, LearnedFeedback, Phase, Schedule


def trained(model, samples, batches, predictor=None, loss=functional.cross_entropy, **options):
    adagp = AdaGP(model, torch.optim.SGD(model.parameters(), lr=0.01), predictor=predictor or LearnedFeedback(),
                  schedule=Schedule(warmup=batches, gp=1000, bp=0), **options)
    for inputs, labels in samples[:batches]:
        adagp.backward(loss(model(inputs), labels))
        adagp.step()
    return adagp


def images(count, size=16, shape=(2, 8, 8), classes=4):
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(size, *shape, generator=generator), torch.randint(classes, (size,), generator=generator))
            for _ in range(count)]


def predicted_gradients(adagp, inputs, labels, loss=functional.cross_entropy):
    """By name, with the true ones; nothing is updated."""
    model = adagp.model
    assert adagp.phase is Phase.GP
    adagp.backward(loss(model(inputs), labels))
    predicted = {name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                 for name, parameter in model.named_parameters()}
    model.eval()  # no hooks
    gradients = torch.autograd.grad(loss(model(inputs), labels), list(model.parameters()))
    return predicted, dict(zip(predicted, gradients))


def cosine(one, other):
    return float(functional.cosine_similarity(one.flatten(), other.flatten(), 0))


def test_a_linear_network_is_predicted_exactly():
    """Its output gradients are the same linear map of the error for all samples."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3 * 36, 8), nn.Linear(8, 4))
    samples = images(9)
    adagp = AdaGP(model, torch.optim.SGD(model.parameters(), lr=1e-6), predictor=LearnedFeedback(ridge=1e-6),
                  schedule=Schedule(warmup=9))
    for inputs, labels in samples:
        adagp.quality()
        adagp.backward(functional.cross_entropy(model(inputs), labels))
        adagp.step()
    assert all(quality.cosine > 0.9999 for quality in adagp.quality().values())


def test_sums_decay_by_batch():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    samples = [(torch.randn(4, 3), torch.randint(2, (4,))) for _ in range(3)]
    adagp = AdaGP(nn.Sequential(model), torch.optim.SGD(model.parameters(), lr=0.0), predictor=LearnedFeedback(decay=0.5),
                  schedule=Schedule(warmup=3))
    expected = torch.zeros(2, 2)
    for inputs, labels in samples:
        error = (torch.softmax(model(inputs.clone()).detach(), 1) - functional.one_hot(labels, 2)) / 4
        expected = 0.5 * expected + error.T @ error
        adagp.backward(functional.cross_entropy(adagp.model(inputs), labels))
        adagp.step()
    state = adagp.predictor.state_dict()
    torch.testing.assert_close(state["error_sums"], expected)
    torch.testing.assert_close(state["layers"]["0"]["sums"], expected)  # of the last layer, δ is the error


def network(activation=nn.ReLU):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), activation(), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6),
                         activation(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(96, 4))


def test_large_maps_are_kept_pooled():
    model, samples = network(), images(6)
    adagp = trained(model, samples, 5, LearnedFeedback(extent=4))
    assert adagp.predictor.state_dict()["layers"]["0"]["sums"].shape == (4, 6, 4, 4)
    predicted, true = predicted_gradients(adagp, *samples[5])
    assert predicted["0.weight"].shape == true["0.weight"].shape and cosine(predicted["7.weight"], true["7.weight"]) > 0.8


def test_many_classes_are_reduced_to_the_rank():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 20), nn.ReLU(), nn.Linear(20, 50))
    samples = images(41, classes=50, size=32)
    adagp = trained(model, samples, 40, LearnedFeedback(rank=16))
    assert adagp.predictor.state_dict()["error_sums"].shape == (16, 16)
    predicted, true = predicted_gradients(adagp, *samples[40])
    assert cosine(predicted["3.weight"], true["3.weight"]) > 0.3  # 16 of 50 directions


def test_masks_come_nearer_to_the_truth():
    samples = images(31, size=64)
    plain, masked = ({name: cosine(gradient, true[name]) for name, gradient in predicted.items()} for predicted, true in (
        predicted_gradients(trained(network(), samples, 30, LearnedFeedback(masks=masks)), *samples[30]) for masks in (False, True)))
    assert masked["0.weight"] > plain["0.weight"]
    assert masked["2.weight"] == pytest.approx(plain["2.weight"])  # normalisation follows, no ReLU


def test_masks_are_for_layers_that_a_relu_follows():
    for activation, expected in ((nn.ReLU, True), (lambda: nn.ReLU(inplace=True), True), (nn.Tanh, False)):
        adagp = trained(network(activation), images(3), 3, LearnedFeedback(masks=True))
        layers = adagp.predictor.state_dict()["layers"]
        assert [layers[name]["rectified"] for name in ("0", "2", "7")] == [expected, False, False]


def test_quality_at_intervals():
    adagp = trained(network(), images(9), 9, LearnedFeedback(measure_every=4))
    assert {quality.batches for quality in adagp.quality().values()} == {2}  # the 5th and the 9th; before the 1st nothing is known


class Tagger(nn.Module):
    """(batch, length, 3) → (batch, length, 5)."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 7), nn.Linear(7, 5)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


def test_sequences():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    samples = [(torch.randn(16, length, 3, generator=generator), torch.randint(5, (16, length), generator=generator))
               for length in (6, 6, 6, 6, 6, 6, 6, 6)]

    def loss(output, labels):
        return functional.cross_entropy(output.flatten(0, 1), labels.flatten())

    adagp = trained(Tagger(), samples, 7, loss=loss)
    assert adagp.predictor.state_dict()["layers"]["first"]["sums"].shape == (30, 7)  # six errors of five values
    predicted, true = predicted_gradients(adagp, *samples[7], loss=loss)
    assert predicted["first.weight"].shape == true["first.weight"].shape
    assert cosine(predicted["last.bias"], true["last.bias"]) > 0.5
