import pytest
import torch
from torch import nn

from adagp.models import build, parameters

from .published import fixed_logits, require_published


@pytest.mark.parametrize("name, count, gmac, digest", [  # as torchvision 0.29 documents and names them
    ("resnet50", 25_557_032, 4.089, "d7e4f8bb0a536344"), ("resnet101", 44_549_160, 7.801, "02c0f34f4842751f"),
    ("resnet152", 60_192_808, 11.514, "685c66205bc823aa"),
])
def test_sizes_and_names_are_torchvision_s(name, count, gmac, digest):
    require_published(name, count, gmac, digest)


def test_resnet50_gives_torchvision_s_logits():
    with torch.device("meta"):
        model = build("resnet50")
    assert fixed_logits(model, 64) == pytest.approx([36.2444, -5850.91, -5324.2, -2720.03], rel=1e-3)


def test_cifar_form_keeps_the_extent_before_the_first_stage():
    with torch.device("meta"):
        model = build("resnet50", classes=10, form="cifar")
        extents = []
        model.layer1.register_forward_pre_hook(lambda module, inputs: extents.append(inputs[0].shape[2:]))
        model(torch.empty(2, 3, 32, 32))
    assert extents == [(32, 32)] and parameters(model) == 23_520_842


@pytest.mark.parametrize("name, depth, count", [("resnet14", 14, 175_258), ("resnet20", 20, 272_474)])
def test_networks_of_the_cifar_paper_have_6n_plus_2_layers(name, depth, count):
    with torch.device("meta"):
        model = build(name, classes=10)
    layers = [path for path, module in model.named_modules()
              if isinstance(module, nn.Conv2d | nn.Linear) and "downsample" not in path]
    projections = sum(parameters(module) for path, module in model.named_modules() if path.endswith("downsample"))
    assert len(layers) == depth and parameters(model) == count
    assert projections == 2752
    if name == "resnet20":
        assert round(parameters(model) / 1e6, 2) == 0.27  # table 6 of the paper
