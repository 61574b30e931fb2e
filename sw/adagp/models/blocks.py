"""What several families of networks share."""

import math
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


he_fan_out = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
he_fan_in = nn.init.kaiming_normal_
narrow_normal = partial(nn.init.normal_, std=0.01)


def torch_default(weight: torch.Tensor) -> torch.Tensor:
    """That of nn.Linear and nn.Conv2d themselves."""
    return nn.init.kaiming_uniform_(weight, a=math.sqrt(5))


def initialise(model: nn.Module, *, convolution: Callable[[torch.Tensor], object],
               linear: Callable[[torch.Tensor], object] = torch_default) -> None:
    """Draws all weights of convolutions and linear layers anew; their biases become 0."""
    draw = {nn.Conv2d: convolution, nn.Linear: linear}
    for module in model.modules():
        if type(module) in draw:
            draw[type(module)](module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
