"""How a run is trained, as data: all that decides its result, and what others have chosen."""

import math
from dataclasses import dataclass, field

from adagp.spec.named_schedule import ADAPTIVE

from .rates import RATE_SCHEDULES

OPTIMIZERS = ("sgd", "adam")
AUTOCAST = ("none", "bf16", "fp16")
PLATEAUS = {"training": "loss", "test": "test_loss"}
"""Which loss the model's ReduceLROnPlateau can follow, and its name in an EpochRecord."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A training run but for the place and the machine it runs on.

    ``model`` and ``data`` are names; ``form`` is the model's, None meaning its usual one, ``data_options``
    those of ``adagp.data.load``. ``predictor`` is a name, ``none`` meaning back-propagation throughout, with
    ``predictor_options`` of its own. ``schedule`` is a name as of ``named_schedule``; ``warmup`` is in
    epochs, None meaning a ninth of the run, as in the paper. ``k_least`` to ``patience`` are the adaptive
    schedule's; ``exclude``, ``gate``, ``gp_rate`` and ``gp_clip`` are AdaGP's, the last two without ``gp_``.

    ``approximate`` is METHOD:SCHEDULE as of ``named_approximation``, or none. It goes with back-propagation
    throughout: in Phase BP a predictor would learn from the approximated gradients, and its quality would
    be measured by them. The modules of ``exclude`` then have exact gradients.

    ``momentum`` is SGD's. ``lr_schedule`` is the model's, ``predictor_lr_schedule`` the predictor's; both
    have ``lr_factor``, ``lr_patience`` in epochs and ``lr_milestones`` as shares of the run. The model's
    plateau is one of the loss that ``plateau`` names, the predictor's one of its mean squared error.
    """

    model: str = "digits"
    form: str | None = None
    data: str = "digits"
    data_options: dict[str, int | float] = field(default_factory=dict)
    batch: int = 32
    accumulate: int = 1
    epochs: int = 20
    seed: int = 0
    predictor: str = "paper"
    predictor_options: dict[str, int | float] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    schedule: str = "paper"
    warmup: int | None = None
    k_least: int = ADAPTIVE.least
    k_most: int = ADAPTIVE.most
    raise_at: float = ADAPTIVE.raise_at
    lower_at: float = ADAPTIVE.lower_at
    patience: int = ADAPTIVE.patience
    gate: float | None = None
    gp_rate: float = 1.0
    gp_clip: float = 1.0
    approximate: str = "none"
    optimizer: str = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    predictor_lr: float = 1e-4
    lr_schedule: str = "none"
    predictor_lr_schedule: str = "none"
    lr_factor: float = 0.1
    lr_patience: int = 10
    lr_milestones: tuple[float, ...] = (1 / 3, 8 / 9)
    plateau: str = "training"
    amp: str = "none"
    channels_last: bool = False

    def __post_init__(self):
        for name, least in (("batch", 1), ("accumulate", 1), ("epochs", 1), ("seed", 0), ("lr_patience", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"Settings.{name} must be an integer of at least {least}, not {value!r}")
        if self.seed >= 1 << 64:
            raise ValueError(f"Settings.seed must be below 2**64, not {self.seed!r}")
        if self.warmup is not None and not (isinstance(self.warmup, int) and 0 <= self.warmup <= self.epochs):
            raise ValueError(f"Settings.warmup must be an integer from 0 to epochs, which is {self.epochs}, not {self.warmup!r}")
        for name, choices in (("optimizer", OPTIMIZERS), ("lr_schedule", RATE_SCHEDULES), ("amp", AUTOCAST),
                              ("predictor_lr_schedule", RATE_SCHEDULES), ("plateau", tuple(PLATEAUS))):
            if getattr(self, name) not in choices:
                raise ValueError(f"Settings.{name} must be {', '.join(choices[:-1])} or {choices[-1]}, not {getattr(self, name)!r}")
        for name in ("lr", "predictor_lr", "gp_rate", "momentum", "weight_decay"):
            value, least = getattr(self, name), "at least" if name in ("momentum", "weight_decay") else "above"
            if not math.isfinite(value) or value < 0 or (value == 0 and least == "above"):
                raise ValueError(f"Settings.{name} must be {least} 0 and finite, not {value!r}")
        if self.approximate != "none" and self.predictor != "none":
            raise ValueError("Settings.approximate must be none unless predictor is none, since predictors would learn from "
                             f"approximated gradients, not {self.approximate!r} with predictor {self.predictor!r}")
        if not 0 < self.lr_factor < 1:
            raise ValueError(f"Settings.lr_factor must be above 0 and below 1, not {self.lr_factor!r}")
        if not all(0 < share < 1 for share in self.lr_milestones) or list(self.lr_milestones) != sorted(self.lr_milestones):
            raise ValueError(f"Settings.lr_milestones must be shares of the run, from 0 to 1 and rising, not {self.lr_milestones!r}")


PRESETS: dict[str, Settings] = {
    # Section 5. It says neither momentum and batch size, nor which loss ReduceLROnPlateau follows, nor the milestones
    # of MultiStepLR: those of PyTorch's own example are 30 and 80, here of 90 epochs.
    "paper": Settings(
        epochs=90, warmup=None, schedule="paper", predictor="paper", optimizer="sgd", lr=1e-3, momentum=0.9,
        predictor_lr=1e-4, lr_schedule="plateau", predictor_lr_schedule="multistep", lr_factor=0.1,
        lr_patience=10, lr_milestones=(1 / 3, 8 / 9)),
    # The tensor re-mapping paper, section V. By its listing phases are whole epochs, 3:1 (the first time 4:1).
    "remapping": Settings(
        epochs=20, warmup=5, batch=32, seed=42, schedule="3:1e", predictor="remapped",
        predictor_options={"outputs": 10000, "channels": 64, "size": 4}, optimizer="sgd", lr=1e-3, momentum=0.9,
        predictor_lr=1e-4, lr_schedule="plateau", predictor_lr_schedule="plateau", lr_factor=0.5,
        lr_patience=3, plateau="training"),
}
