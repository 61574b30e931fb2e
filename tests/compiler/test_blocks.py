"""Training steps of blocks of well-known networks against PyTorch."""

from math import inf

import pytest
import torch
from torch import nn
from torch.nn import functional

from adagp_flows.networks import SHRUNK

from .oracle import assert_step_matches

ZERO = {"MobileNetV2": {"gradient of 0.0.conv.3.bias": inf}}
"""What the next batch normalisation takes away again: its gradient is nothing but rounding."""


def trained(model: nn.Module) -> nn.Module:
    """Without the zeros that normalisations begin with, with which their scales have no gradient either
    where only ReLU and a depthwise convolution stand before the next one."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.normal_(module.bias, std=0.3)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


@pytest.mark.parametrize("name", SHRUNK)
def test_training_step_matches_pytorch(name, monkeypatch):
    monkeypatch.setattr(functional, "has_torch_function", lambda tensors: False)  # attention is rounded inside, too
    block = SHRUNK[name]
    torch.manual_seed(1)
    assert_step_matches(trained(block.model()), block.input_shape, batch=4, bounds=ZERO.get(name, {}))
