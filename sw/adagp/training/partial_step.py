"""A step of an optimizer for some of its parameters."""

from collections.abc import Iterable

import torch
from torch import nn


def partial_step(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], *, rate: float = 1.0) -> None:
    """Steps those of ``parameters`` that ``optimizer`` holds and that have a gradient, each with its group's
    options but ``rate`` times the learning rate. Their gradients are gone afterwards."""
    chosen = {id(parameter) for parameter in parameters if parameter.grad is not None}
    groups = [{**group, "params": some, "lr": group["lr"] * rate} for group in optimizer.param_groups
              if (some := [parameter for parameter in group["params"] if id(parameter) in chosen])]
    if not groups:
        return
    whole, optimizer.param_groups = optimizer.param_groups, groups
    try:
        optimizer.step()
    finally:
        optimizer.param_groups = whole
    for group in groups:
        for parameter in group["params"]:
            parameter.grad = None
