import pytest
import torch

from adagp.models import build

from .published import fixed_logits, require_published


def test_size_and_names_are_torchvision_s():
    require_published("mobilenetv2", 3_504_872, 0.301, "37bbbce8932fd0c4")


def test_mobilenetv2_gives_torchvision_s_logits():
    with torch.device("meta"):
        model = build("mobilenetv2")
    assert fixed_logits(model, 64) == pytest.approx([0.211588, -2.14845, 4.83348, 3.00408], abs=1e-3)


def test_cifar_form_ends_with_4_by_4_pixels():
    with torch.device("meta"):
        assert build("mobilenetv2", form="cifar").features(torch.empty(2, 3, 32, 32)).shape == (2, 1280, 4, 4)
