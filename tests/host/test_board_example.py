"""The example for a board, with the golden machine in its place, against PyTorch."""

import copy
import importlib.util
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from adagp import data
from adagp.golden import GoldenMachine
from adagp.spec.config import preset

BYTES = 1 << 18


def test_example_trains_as_pytorch_does(monkeypatch):
    spec = importlib.util.spec_from_file_location("train_on_board", Path(__file__).parents[2] / "examples/train_on_board.py")
    spec.loader.exec_module(example := importlib.util.module_from_spec(spec))
    monkeypatch.setattr(example, "Link", lambda stream: stream)
    monkeypatch.setattr(example, "HostedMachine", lambda link, config: GoldenMachine(config, BYTES, check=True))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    before, reference = copy.deepcopy(model), copy.deepcopy(model)
    machine = example.train(None, model, batches=2, epochs=2)
    assert machine.config == preset("tiny") and machine.read("BATCH") == 4
    images, labels = next(data.Batches(data.load("digits").train, batch=64, shuffle=False).epoch(0))
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.05, momentum=0.9)
    for start in (0, 32, 0, 32):
        cross_entropy(reference(images[start:start + 32].flatten(1)), labels[start:start + 32]).backward()
        optimizer.step()
        optimizer.zero_grad()
    for got, want, first in zip(model.parameters(), reference.parameters(), before.parameters()):
        assert (got - want).norm() < 0.02 * (want - first).norm()


def test_all_digits_fit_on_the_board():
    from adagp.compiler import SGD, compile_training

    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    training = compile_training(model, preset("tiny"), batch=32, input_shape=(64,), optimizer=SGD(lr=0.05, momentum=0.9))
    assert training.image_bytes(44) <= BYTES
