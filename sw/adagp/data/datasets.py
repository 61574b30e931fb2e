"""What a data set is."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from .tasks import Task
from .translation import Vocabulary


class MissingData(ValueError):
    """Files or a package that a data set needs are not there; the message, a single line, says what to do."""


class Source(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def batch(self, indices: list[int], generator: torch.Generator) -> tuple[Any, Any]:
        """Inputs (a tensor, or a tuple of tensors) and target of the samples ``indices``.

        Whatever is random comes from ``generator``: the same samples with a generator in the same
        state are the same bits.
        """


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Samples to train and to test with, and the task they set.

    ``classes`` is the number of classes, ``shape`` that of one sample of the inputs. Sentences have
    ``vocabularies``, of source and target; ``classes`` is then the length of the target's, ``shape``
    the most words that there can be.
    """

    name: str
    task: Task
    train: Source
    test: Source
    classes: int
    shape: tuple[int, ...]
    vocabularies: tuple[Vocabulary, ...] = ()
