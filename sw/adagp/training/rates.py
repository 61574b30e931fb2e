"""Learning rates over a run."""

import warnings
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, ReduceLROnPlateau

from .records import EpochRecord

RATE_SCHEDULES = ("none", "plateau", "multistep", "cosine")


@dataclass(frozen=True)
class Rate:
    """A learning-rate scheduler that a Trainer steps after every epoch.

    A ReduceLROnPlateau looks at the number of the EpochRecord that ``follows`` names: loss (of the
    training samples), test_loss, or mse (of the predictions). After an epoch that has no such number it is not
    stepped.
    """

    scheduler: LRScheduler
    follows: str | None = None

    def __post_init__(self):
        known = ("loss", "test_loss", "mse") if isinstance(self.scheduler, ReduceLROnPlateau) else (None,)
        if self.follows not in known:
            raise ValueError(f"Rate.follows of a {type(self.scheduler).__name__} must be "
                             f"{', '.join(map(str, known))}, not {self.follows!r}")

    def step(self, record: EpochRecord) -> None:
        if self.follows is None:
            with warnings.catch_warnings():  # PyTorch does not know of the steps before a checkpoint
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
                self.scheduler.step()
        elif (value := getattr(record, self.follows)) is not None:
            self.scheduler.step(value)


def rate(name: str, optimizer: Optimizer, *, epochs: int, factor: float, patience: int,
         milestones: tuple[float, ...], follows: str) -> Rate | None:
    """The learning-rate schedule ``name``, one of RATE_SCHEDULES, of a run of ``epochs`` epochs.

    ``plateau`` multiplies by ``factor`` when what it follows has not improved for ``patience`` epochs;
    ``multistep`` does at ``milestones``, shares of the run; ``cosine`` falls to 0 at the end.
    """
    if name == "none":
        return None
    if name == "plateau":
        return Rate(ReduceLROnPlateau(optimizer, factor=factor, patience=patience), follows)
    if name == "multistep":
        return Rate(MultiStepLR(optimizer, [round(share * epochs) for share in milestones], gamma=factor))
    if name == "cosine":
        return Rate(CosineAnnealingLR(optimizer, epochs))
    raise ValueError(f"name must be one of {', '.join(RATE_SCHEDULES)}, not {name!r}")
