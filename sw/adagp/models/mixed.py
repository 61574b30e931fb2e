"""Blocks of Inception networks: branches side by side, described as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn


class BasicConv2d(nn.Module):
    """Convolution, batch normalisation, ReLU, with names as in Inception networks elsewhere."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1,
                 padding: int | tuple[int, int] = 0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.conv(x)))


@dataclass(frozen=True)
class Unit:
    """A BasicConv2d to be; padded it keeps the extent, but for the stride."""

    outputs: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padded: bool = True

    def after(self, inputs: int) -> BasicConv2d:
        kernel = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        padding = (kernel[0] // 2, kernel[1] // 2) if self.padded else 0
        return BasicConv2d(inputs, self.outputs, kernel, self.stride, padding)


Step = Unit | tuple[Unit, ...] | nn.Module
"""A unit, several that read the same, or a pooling."""


def chain(inputs: int, *units: Unit) -> nn.Sequential:
    """One after the other."""
    widths = (inputs, *(unit.outputs for unit in units))
    return nn.Sequential(*(unit.after(width) for unit, width in zip(units, widths)))


class Mixed(nn.Module):
    """(batch, inputs, height, width) -> the outputs of all branches, channels concatenated.

    A branch is a module, or its steps. Then its only unit has the branch's name, and of several, unit i
    is ``<branch>_<i>``, counted from ``first``, with "a", "b" … behind for those that read the same.
    """

    def __init__(self, inputs: int, branches: Mapping[str, nn.Module | Sequence[Step]], first: int = 1):
        super().__init__()
        self.paths = [self._add_steps(name, branch, inputs, first) if isinstance(branch, Sequence) else
                      self._add_module(name, branch) for name, branch in branches.items()]

    def _add_module(self, name: str, module: nn.Module) -> list[list[str]]:
        self.add_module(name, module)
        return [[name]]

    def _add_steps(self, branch: str, steps: Sequence[Step], inputs: int, first: int) -> list[list[str]]:
        """The names of the modules of each step."""
        path, number = [], first
        alone = sum(not isinstance(step, nn.Module) for step in steps) == 1
        for step in steps:
            if isinstance(step, nn.Module):
                path += self._add_module(f"{branch}_pooling", step)
                continue
            units = step if isinstance(step, tuple) else (step,)
            name = branch if alone else f"{branch}_{number}"
            names = [name] if len(units) == 1 else [name + letter for letter, _ in zip("abcdefgh", units)]
            for name, unit in zip(names, units):
                self.add_module(name, unit.after(inputs))
            path.append(names)
            inputs, number = sum(unit.outputs for unit in units), number + 1
        return path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for path in self.paths:
            y = [x]
            for names in path:
                y = [self.get_submodule(name)(y[0] if len(y) == 1 else torch.cat(y, 1)) for name in names]
            outputs += y
        return torch.cat(outputs, 1)
