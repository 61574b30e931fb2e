"""What is trained: a model, samples for training and for testing, and the schedule."""

from dataclasses import dataclass, field
from math import gcd

import torch
from torch import nn

from adagp.compiler import SGD, Adam, FeedbackConfig, PredictorConfig
from adagp.data.digits import digits
from adagp.spec.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training run, independent of the machine that does it.

    ``data`` and ``test_data`` are (samples, channels, height, width) or (samples, features),
    ``labels`` and ``test_labels`` class numbers. What does not fill a batch is left out. The run goes
    ``epochs`` times over the training samples. ``epochs_per_start`` is how many epochs the machine runs from
    one doorbell; after them memory is compared and the test samples are classified. The baseline,
    which has no predictor, looks at neither ``schedule`` nor ``predictor``.
    """

    model: nn.Module
    data: torch.Tensor
    labels: torch.Tensor
    test_data: torch.Tensor
    test_labels: torch.Tensor
    batch: int
    epochs: int
    schedule: Schedule
    epochs_per_start: int = 1
    optimizer: SGD = field(default_factory=lambda: SGD(lr=0.05))
    predictor: PredictorConfig | FeedbackConfig = field(default_factory=PredictorConfig)
    predictor_optimizer: Adam = field(default_factory=lambda: Adam(lr=1e-3))
    seed: int = 0

    def __post_init__(self):
        for name, least in (("batch", 1), ("epochs", 1), ("epochs_per_start", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"Workload.{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("data", "test_data"):
            if len(getattr(self, name)) < self.batch:
                raise ValueError(f"Workload.{name} must hold at least one batch of {self.batch} samples, "
                                 f"not {len(getattr(self, name))}")

    @property
    def epoch(self) -> int:
        """Batches in one pass over the training samples."""
        return len(self.data) // self.batch

    @property
    def batches(self) -> int:
        """Length of the run."""
        return self.epochs * self.epoch

    @property
    def step(self) -> int:
        """From one batch of samples to the next that is visited, around the epoch: every batch once."""
        return next(step for step in range(self.epoch * 5 // 13 + 1, self.epoch + 1) if gcd(step, self.epoch) == 1)

    @property
    def test_batches(self) -> int:
        return len(self.test_data) // self.batch


class DigitsNetwork(nn.Module):
    """Two convolutions (1→8→16 channels) with pooling, and a classifier, for 8×8 pixels."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.classifier = nn.Linear(16 * 2 * 2, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.classifier(x.flatten(1))
