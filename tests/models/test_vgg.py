import pytest
import torch
from torch import nn

from adagp.models import build, parameters

from .published import require_published


@pytest.mark.parametrize("name, count, gmac, digest", [  # as torchvision 0.29 documents and names them
    ("vgg11", 132_863_336, 7.609, "cb3dc23f2a13e182"), ("vgg11_bn", 132_868_840, 7.609, "8b6717e727c0ecf9"),
    ("vgg13", 133_047_848, 11.308, "67c1dc8b57fde74b"), ("vgg13_bn", 133_053_736, 11.308, "f6b0597d18a7e4d2"),
    ("vgg16", 138_357_544, 15.470, "35c4623e0cd4a39d"), ("vgg16_bn", 138_365_992, 15.470, "347371586a8ea365"),
    ("vgg19", 143_667_240, 19.632, "4723255af8f6c485"), ("vgg19_bn", 143_678_248, 19.632, "fc3ff6fab2b5cc09"),
])
def test_sizes_and_names_are_torchvision_s(name, count, gmac, digest):
    require_published(name, count, gmac, digest)


def test_cifar_form_has_one_linear_layer():
    with torch.device("meta"):
        model = build("vgg13", classes=10, form="cifar")
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 11 and isinstance(layers[-1], nn.Linear) and layers[-1].in_features == 512
    assert parameters(model) == 9_416_010
    assert model(torch.empty(1, 3, 96, 64, device="meta")).shape == (1, 10)  # larger images are averaged
