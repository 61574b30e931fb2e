"""What several families of networks share."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn


def require_image(images: torch.Tensor, smallest: int, network: str) -> None:
    """Raises ValueError if ``images`` (batch, channels, height, width) have fewer than ``smallest`` pixels
    down or across. While torch.fx traces there are no sizes to look at."""
    if isinstance(images, torch.Tensor) and min(images.shape[-2:]) < smallest:
        height, width = images.shape[-2:]
        raise ValueError(f"{network}: images must be at least {smallest}×{smallest} pixels, not {height}×{width}")


def convolution_unit(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1,
                     activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Convolution, batch normalisation, activation. An odd ``kernel`` keeps the extent, but for the stride."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs), activation())


he_fan_out = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
he_fan_in = nn.init.kaiming_normal_
narrow_normal = partial(nn.init.normal_, std=0.01)


def initialise(model: nn.Module, *, convolution: Callable[[torch.Tensor], object],
               linear: Callable[[torch.Tensor], object] | None = None) -> None:
    """Draws the weights of convolutions and linear layers anew, with biases of 0; without ``linear``,
    linear layers stay as PyTorch made them."""
    draw = {nn.Conv2d: convolution, nn.Linear: linear}
    for module in model.modules():
        if drawn := draw.get(type(module)):
            drawn(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
