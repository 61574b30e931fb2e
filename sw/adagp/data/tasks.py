"""What is asked of a model: a loss to minimise and a metric to report."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, kw_only=True)
class Task:
    """How the outputs of a model are judged.

    ``loss`` maps a model's output and the target to the mean loss, ``score`` to a sum and a count.
    Both add up over batches; their quotient over a data set is the ``metric``.
    """

    name: str
    metric: str
    loss: Callable[[Any, Any], torch.Tensor]
    score: Callable[[Any, Any], tuple[float, int]]


_AUXILIARY = 0.4
"""Weight of the loss of InceptionV3's second classifier, which takes part in training only."""


def _loss(logits: torch.Tensor | tuple[torch.Tensor, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    if isinstance(logits, tuple):
        return cross_entropy(logits[0], labels) + _AUXILIARY * cross_entropy(logits[1], labels)
    return cross_entropy(logits, labels)


def _correct(logits: torch.Tensor, labels: torch.Tensor) -> tuple[float, int]:
    return float((logits.argmax(1) == labels).sum()), len(labels)


CLASSIFICATION = Task(name="classification", metric="accuracy", loss=_loss, score=_correct)
"""Logits (samples, classes), or a pair with those of an auxiliary classifier, against class numbers (samples)."""
