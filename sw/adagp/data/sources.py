"""Samples by number: in memory, and read or made one by one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

Transform = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class ArraySource:
    """``data`` (samples, …) with ``labels`` (samples); ``transform`` is applied to the data of each batch."""

    def __init__(self, data: torch.Tensor, labels: torch.Tensor, transform: Transform | None = None):
        self.data, self.labels, self.transform = data, labels, transform

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, indices: list[int], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        data = self.data[indices]
        return data if self.transform is None else self.transform(data, generator), self.labels[indices]


def as_it_is(sample: tuple[torch.Tensor, Any], generator: torch.Generator) -> tuple[torch.Tensor, Any]:
    return sample


class SampleSource:
    """Samples that are read or made one by one, ``samples[i]``.

    ``prepare`` makes an input tensor and a target of a sample, with a generator for all that is random;
    ``collate`` makes the target of a batch of a list of targets.
    """

    def __init__(self, samples: Sequence, *, collate: Callable[[list], Any],
                 prepare: Callable[[Any, torch.Generator], tuple[torch.Tensor, Any]] = as_it_is):
        self.samples, self.prepare, self.collate = samples, prepare, collate

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: list[int], generator: torch.Generator) -> tuple[torch.Tensor, Any]:
        inputs, targets = zip(*(self.prepare(self.samples[index], generator) for index in indices), strict=True)
        return torch.stack(inputs), self.collate(list(targets))
