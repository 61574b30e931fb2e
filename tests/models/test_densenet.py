import pytest
import torch

from adagp.models import build

from .published import fixed_logits, require_published


@pytest.mark.parametrize("name, count, gmac, digest", [  # as torchvision 0.29 documents and names them
    ("densenet121", 7_978_856, 2.834, "aa0fd9923b0003b8"), ("densenet161", 28_681_000, 7.728, "82d337d48f910d3a"),
    ("densenet169", 14_149_480, 3.360, "e2d0f02d9c0ce650"), ("densenet201", 20_013_928, 4.291, "0d234ad7e9a31b95"),
])
def test_sizes_and_names_are_torchvision_s(name, count, gmac, digest):
    require_published(name, count, gmac, digest)


def test_densenet121_gives_torchvision_s_logits():
    with torch.device("meta"):
        model = build("densenet121")
    assert fixed_logits(model, 64) == pytest.approx([0.0941618, -5.20338, 6.1955, -3.75697], abs=1e-3)


def test_cifar_form_keeps_the_extent_before_the_first_block():
    with torch.device("meta"):
        model = build("densenet121", classes=10, form="cifar")
        extents = []
        for block in (model.features.denseblock1, model.features.denseblock4):
            block.register_forward_pre_hook(lambda module, inputs: extents.append(inputs[0].shape[2:]))
        model(torch.empty(2, 3, 32, 32))
    assert extents == [(32, 32), (4, 4)]
