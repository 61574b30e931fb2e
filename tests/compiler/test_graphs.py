"""Training steps of the building blocks of well-known networks against PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn import functional

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
