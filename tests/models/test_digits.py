import pytest
import torch

from adagp.models import build, multiply_accumulates, parameters


def test_sizes():
    model = build("digits", classes=10, channels=1)
    assert parameters(model) == 144 + 16 + 2304 + 16 + 4608 + 32 + 2 * (9216 + 32) + 1280 + 10
    assert multiply_accumulates(model, torch.empty(1, 1, 8, 8)) == 64 * (144 + 2304) + 16 * (4608 + 9216) + 4 * 9216 + 1280


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="images for the digits network must be 8×8, not 8×9"):
        build("digits", classes=10, channels=1)(torch.empty(1, 1, 8, 9))
