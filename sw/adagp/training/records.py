"""What a training run tells about itself while it goes on."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import fsum

from adagp.spec.schedule import Phase

from .quality import Quality


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """A batch that is done. ``step`` counts the batches of the run before it, ``batch`` those of the
    epoch, ``epoch`` the epochs; ``loss`` is None where it was not computed, ``cosine`` is AdaGP's."""

    step: int
    epoch: int
    batch: int
    phase: Phase
    loss: float | None
    cosine: float | None


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """An epoch that is done, tested.

    ``epoch`` counts from 1, ``steps`` are the batches of the run so far. ``loss`` is the mean over the
    batches that computed one (None: none did), ``test_loss`` and ``metric`` are of the test samples.
    ``batches`` and ``seconds`` have an entry for every phase that occurred, by its name in lower case;
    loading data is not in them. ``learning_rate`` is the one it was trained with, the predictor's None
    where it has no optimiser. ``quality`` is that of the predictions, by layer.
    """

    epoch: int
    steps: int
    loss: float | None
    test_loss: float
    metric: float
    batches: dict[str, int]
    seconds: dict[str, float]
    test_seconds: float
    learning_rate: float
    predictor_learning_rate: float | None
    quality: dict[str, Quality]

    @property
    def cosine(self) -> float | None:
        """Of predicted with true gradients, mean over layers."""
        return _mean([layer.cosine for layer in self.quality.values()])

    @property
    def mse(self) -> float | None:
        """Of predicted to true gradients, mean over layers."""
        return _mean([layer.mse for layer in self.quality.values()])

    def as_state(self) -> dict:
        """Itself as dicts, strings and numbers."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict) -> "EpochRecord":
        quality = {name: Quality(**layer) for name, layer in state["quality"].items()}
        return cls(**(state | {"quality": quality}))


def _mean(values: list[float]) -> float | None:
    return fsum(values) / len(values) if values else None


def _ignore(*_) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Functions that a Trainer calls: after a batch, after an epoch, with what AdaGP wants to be read,
    and before a checkpoint is written."""

    batch: Callable[[BatchRecord], None] = _ignore
    epoch: Callable[[EpochRecord], None] = _ignore
    notice: Callable[[str], None] = _ignore
    checkpoint: Callable[[], None] = _ignore
