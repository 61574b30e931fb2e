"""Training steps of networks with normalisation, average pooling, softmax and GELU against PyTorch."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from adagp.compiler import SGD, compile_training
from adagp.compiler.capture import capture
from adagp.compiler.program import CompileError
from adagp.golden import GoldenMachine
from adagp.spec.schedule import Schedule

from .oracle import CONFIG, assert_step_matches, relative_error


class ResidualBlock(nn.Module):
    """ResNet18's block, normalised before the addition."""

    def __init__(self, channels: int, outputs: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(nn.Conv2d(channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.block, self.head = ResidualBlock(6, 10, 2), nn.Linear(10, 5)

    def forward(self, x):
        x = self.block(functional.relu(self.bn(self.conv(x))))
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class FeedForward(nn.Module):
    """A transformer's block of linear layers over tokens, with the mean over tokens as its output."""

    def __init__(self, features: int, approximate: str):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(features), nn.Linear(features, 13), nn.Linear(13, features)
        self.act, self.last, self.head = nn.GELU(approximate), nn.LayerNorm(features), nn.Linear(features, 5)

    def forward(self, x):
        x = x + self.down(self.act(self.up(self.norm(x))))
        return self.head(self.last(x).mean(1))


class Gate(nn.Module):
    """Features weighted by a softmax over them."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 9), nn.Linear(7 * 9, 5)

    def forward(self, x):
        return self.head(functional.softmax(self.first(x), dim=-1).flatten(1))


class ConvNext(nn.Module):
    """ConvNeXt's order: normalisation and GELU with channels last."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8, eps=1e-6)
        self.up, self.down, self.head = nn.Linear(8, 12), nn.Linear(12, 8), nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        y = self.down(functional.gelu(self.up(self.norm(x.permute(0, 2, 3, 1)))))
        return self.head((x + y.permute(0, 3, 1, 2)).mean([2, 3]))


def classifier(*modules: nn.Module, features: int) -> nn.Module:
    return nn.Sequential(*modules, nn.Flatten(), nn.Linear(features, 5))


MODELS = {
    "ResNet": (ResNet, (3, 8, 8)),
    "batch norm past max pooling": (lambda: classifier(
        nn.Conv2d(2, 7, 3, bias=False), nn.BatchNorm2d(7), nn.MaxPool2d(2), nn.LeakyReLU(0.1),
        features=7 * 9), (2, 8, 8)),
    "activation before batch norm": (lambda: classifier(
        nn.Conv2d(2, 7, 3), nn.ReLU6(), nn.BatchNorm2d(7, affine=False), features=7 * 36), (2, 8, 8)),
    "batch norm of features": (lambda: nn.Sequential(
        nn.Linear(9, 7, bias=False), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 5)), (9,)),
    "average pooling": (lambda: classifier(
        nn.Conv2d(2, 5, 3), nn.ReLU(), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.Conv2d(5, 6, 3),
        nn.AdaptiveAvgPool2d((3, 1)), nn.ReLU(), features=18), (2, 10, 9)),
    "GELU of an image": (lambda: classifier(nn.Conv2d(2, 5, 3), nn.GELU(), nn.AvgPool2d(2), features=45), (2, 8, 8)),
    "feed forward": (lambda: FeedForward(6, "none"), (7, 6)),
    "feed forward, tanh": (lambda: FeedForward(8, "tanh"), (7, 8)),
    "softmax": (Gate, (7, 6)),
    "ConvNeXt": (ConvNext, (3, 8, 6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_training_step_matches_pytorch(name):
    build, shape = MODELS[name]
    torch.manual_seed(3)
    assert_step_matches(build(), shape)


def test_evaluation_after_training_matches_pytorch():
    """Running statistics of a training batch normalise the next one."""
    torch.manual_seed(5)
    model, data = ResNet(), torch.randn(8, 3, 8, 8)
    training = compile_training(model, CONFIG, batch=4, input_shape=(3, 8, 8), optimizer=SGD(lr=0.0))
    machine = GoldenMachine(CONFIG, training.image_bytes(2))
    training.image(machine.memory, model, data, torch.zeros(8, dtype=torch.long))
    training.configure(machine, 2, Schedule(warmup=2))
    machine.write("BATCHES", 1)
    machine.run()
    machine.write("MODE", 1)
    machine.run()
    reference = copy.deepcopy(model).train()
    reference(data[:4])
    want = reference.eval()(data[4:])
    assert relative_error(training.tensors["head.output"].read(machine.memory), want.detach()) < 0.01


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


@pytest.mark.parametrize("module, shape, message", [
    (nn.AvgPool2d(2, ceil_mode=True), (2, 6, 6), "0: AvgPool2d needs ceil_mode False and no divisor_override"),
    (nn.AdaptiveAvgPool2d(4), (2, 6, 6), r"0: adaptive pooling needs a size that divides .*\(6, 6\), not \(4, 4\)"),
    (Mean(), (2, 6, 6), r"mean: means are over height and width of images, or over tokens, not over dimensions \[1\]"),
    (nn.BatchNorm2d(2, momentum=None), (2, 6, 6), "0: BatchNorm2d needs track_running_stats and a momentum"),
    (nn.BatchNorm1d(2), (2, 6), r"0: BatchNorm1d needs \(features\), not \(channels, length\)"),
    (nn.LayerNorm((2, 6)), (2, 6), r"0: LayerNorm.normalized_shape must be that of the features, \(6,\), not \(2, 6\)"),
    (nn.Softmax(1), (2, 6), "0: Softmax.dim must be the last one, 2, not 1")])
def test_what_is_not_mapped_is_refused_by_name(module, shape, message):
    with torch.no_grad():
        features = nn.Sequential(module, nn.Flatten())(torch.zeros(2, *shape)).shape[1]
    with pytest.raises(CompileError, match=message):
        capture(nn.Sequential(module, nn.Flatten(), nn.Linear(features, 3)), shape)
