"""Training steps of the building blocks of well-known networks against PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from adagp.spec.config import AcceleratorConfig

from .oracle import assert_step_matches


class Bottleneck(nn.Module):
    """ResNet50's block without normalisation, with a projection on the shortcut."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1)
        self.conv3 = nn.Conv2d(width, 4 * width, 1)
        self.downsample = nn.Conv2d(channels, 4 * width, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.conv1(x))
        out = self.relu(self.conv2(out))
        out = self.conv3(out)
        out += self.downsample(x)
        return self.relu(out)


class BasicBlock(nn.Module):
    """ResNet18's block without normalisation."""

    def __init__(self, channels: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, outputs, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.downsample = nn.Identity() if channels == outputs else nn.Conv2d(channels, outputs, 1, stride)

    def forward(self, x):
        return functional.relu(self.conv2(functional.relu(self.conv1(x))) + self.downsample(x))


class DenseBlock(nn.Module):
    """Every layer reads all channels that were made before it, each activated anew."""

    def __init__(self, channels: int, growth: int, layers: int):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels + growth * number, growth, 3, padding=1)
                                   for number in range(layers))

    def forward(self, x):
        for conv in self.convs:
            x = torch.cat([x, conv(torch.relu(x))], dim=1)
        return x


class Inception(nn.Module):
    """Parallel branches with 1×7 and 7×1 kernels and pooling, put together."""

    def __init__(self, channels: int):
        super().__init__()
        self.narrow = nn.Conv2d(channels, 5, 1)
        self.wide = nn.Sequential(nn.Conv2d(channels, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, (1, 7), padding=(0, 3)),
                                  nn.ReLU(), nn.Conv2d(4, 7, (7, 1), padding=(3, 0)))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(channels, 3, 1))

    def forward(self, x):
        return torch.relu(torch.cat((self.narrow(x), self.wide(x), self.pooled(x)), 1))


class Mixer(nn.Module):
    """Linear layers over tokens, with a residual connection."""

    def __init__(self, tokens: int, features: int):
        super().__init__()
        self.up, self.down = nn.Linear(features, 11), nn.Linear(11, features)
        self.head = nn.Linear(tokens * features, 5)

    def forward(self, x):
        x = x + self.down(torch.relu(self.up(x)))
        return self.head(x.flatten(1))


class Patches(nn.Module):
    """An image cut into tokens as vision transformers do."""

    def __init__(self):
        super().__init__()
        self.embed, self.mixer = nn.Conv2d(3, 6, 4, stride=4), Mixer(4, 6)

    def forward(self, x):
        return self.mixer(self.embed(x).flatten(2).transpose(1, 2))


def classifier(*modules: nn.Module, features: int) -> nn.Module:
    return nn.Sequential(*modules, nn.Flatten(), nn.Linear(features, 5))


MODELS = {
    "bottleneck": (lambda: classifier(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), Bottleneck(6, 3, 2),
                                      features=12 * 16), (3, 8, 8)),
    "basic blocks": (lambda: classifier(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), BasicBlock(5, 5),
                                        BasicBlock(5, 7, 2), features=7 * 16), (3, 8, 7)),
    "dense block": (lambda: classifier(nn.Conv2d(2, 5, 3, padding=1), DenseBlock(5, 3, 3), nn.ReLU(), nn.MaxPool2d(2),
                                       features=14 * 9), (2, 6, 6)),
    "inception": (lambda: classifier(nn.Conv2d(2, 6, 3), nn.ReLU(), Inception(6), features=15 * 42), (2, 9, 8)),
    "leaky ReLU": (lambda: classifier(nn.Conv2d(2, 6, 3), nn.LeakyReLU(0.1), nn.MaxPool2d(3, 2), nn.Conv2d(6, 7, 3),
                                      nn.LeakyReLU(0.2), features=7 * 4), (2, 12, 12)),
    "ReLU6": (lambda: classifier(nn.Conv2d(2, 6, 3), nn.ReLU6(), nn.Conv2d(6, 7, 3), nn.Hardtanh(0, 0.5),
                                 features=7 * 16), (2, 8, 8)),
    "upsampling": (lambda: classifier(nn.Conv2d(2, 5, 3, stride=2), nn.ReLU(), nn.Upsample(scale_factor=(2, 3)),
                                      nn.Conv2d(5, 4, 3), nn.ReLU(), features=4 * 28), (2, 7, 7)),
    "tokens": (lambda: Mixer(7, 6), (7, 6)),
    "patches": (Patches, (3, 8, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_training_step_matches_pytorch(name):
    build, shape = MODELS[name]
    torch.manual_seed(3)
    assert_step_matches(build(), shape)


class Twice(nn.Module):
    def forward(self, x):
        return x + x


class Doubled(nn.Module):
    def forward(self, x):
        return torch.cat((x, x), dim=1)


class Readers(nn.Module):
    """Two readers of one output. The first is the last to give its share of the gradient."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        return self.first(x) + self.second(x)


@pytest.mark.parametrize("activation", [nn.Identity(), nn.ReLU(), nn.LeakyReLU(0.3), nn.ReLU6()], ids=repr)
@pytest.mark.parametrize("first, second", [
    (nn.Conv2d(5, 5, 3, padding=1), nn.Conv2d(5, 5, 1)),
    (nn.MaxPool2d(2), nn.Conv2d(5, 5, 2, stride=2)),
    (nn.MaxPool2d(3, 1, 1), nn.Conv2d(5, 5, 1)),
    (nn.Upsample(scale_factor=2), nn.Conv2d(5, 5, 1, padding=2)),
    (Doubled(), nn.Conv2d(5, 10, 1)),
    (Twice(), nn.Conv2d(5, 5, 1)),
    (nn.LeakyReLU(0.1), nn.Conv2d(5, 5, 1)),
], ids=lambda module: type(module).__name__)
def test_last_share_of_a_gradient_is_added_to_the_others_and_gated(first, second, activation):
    model = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), activation, Readers(first, second), nn.Flatten(), nn.LazyLinear(3))
    model(torch.zeros(1, 2, 4, 4))
    torch.manual_seed(1)
    for module in model.modules():
        getattr(module, "reset_parameters", lambda: None)()
    assert_step_matches(model, (2, 4, 4), batch=3)


@pytest.mark.parametrize("height, width", [(2, 20), (30, 4)])
def test_upsampling_of_more_than_a_bank_is_cut_into_rows_or_parts_of_rows(height, width):
    config = AcceleratorConfig(rows=5, columns=6, stream_elements=16384, stationary_elements=16384, vector_words=256)
    torch.manual_seed(2)
    model = classifier(nn.Conv2d(1, 10, 1), nn.Upsample(scale_factor=(1, 3)), nn.MaxPool2d((1, 3)),
                       features=10 * height * width)
    assert_step_matches(model, (1, height, width), batch=2, config=config)


class InPlace(nn.Module):
    """What reads ``x`` after the activation in place reads the activated one."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(64, 3)

    def forward(self, x):
        x = self.first(x)
        y = self.second(functional.leaky_relu(x, 0.5, inplace=True))
        y += x
        return self.head(y.flatten(1))


def test_operations_in_place_change_what_is_read_later():
    torch.manual_seed(5)
    assert_step_matches(InPlace(), (2, 4, 4))


def test_activation_of_the_sample_stands_alone():
    torch.manual_seed(2)
    assert_step_matches(nn.Sequential(nn.ReLU(), nn.Linear(9, 4)), (9,))
