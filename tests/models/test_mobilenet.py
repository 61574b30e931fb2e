import pytest
import torch

from adagp.models import build, multiply_accumulates, parameters

from .published import fixed_logits, names_digest


def test_size_and_names_are_torchvision_s():
    with torch.device("meta"):
        model = build("mobilenetv2")
    assert parameters(model) == 3_504_872
    assert round(multiply_accumulates(model, torch.empty(1, 3, 224, 224, device="meta")) / 1e9, 3) == 0.301
    assert names_digest(model) == "37bbbce8932fd0c4"


def test_mobilenetv2_gives_torchvision_s_logits():
    with torch.device("meta"):
        model = build("mobilenetv2")
    assert fixed_logits(model, 64) == pytest.approx([0.211588, -2.14845, 4.83348, 3.00408], abs=1e-3)


def test_cifar_form_ends_with_4_by_4_pixels():
    with torch.device("meta"):
        assert build("mobilenetv2", form="cifar").features(torch.empty(2, 3, 32, 32)).shape == (2, 1280, 4, 4)
