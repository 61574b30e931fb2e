"""Training without prediction, to compare with."""

from collections import Counter

import torch
from torch import nn

from adagp.spec.schedule import Phase

from .approximation import Approximation
from .predictors import Predictor
from .quality import Quality


class Backpropagation:
    """Plain back-propagation behind the interface of AdaGP: every batch is one of Phase BP. ``approximation``
    of the same model, if there is one, is saved and closed with it."""

    phase = Phase.BP
    needs_loss = runs = True
    cosine = None
    predictor = Predictor()

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, *, accumulate: int = 1,
                 scaler: torch.amp.GradScaler | None = None, approximation: Approximation | None = None):
        if not isinstance(accumulate, int) or accumulate < 1:
            raise ValueError(f"Backpropagation.accumulate must be an integer of at least 1, not {accumulate!r}")
        self.model, self.optimizer, self.accumulate, self.scaler = model, optimizer, accumulate, scaler
        self.approximation = approximation
        self.batches = Counter()
        self.notices: list[str] = []

    def backward(self, loss: torch.Tensor) -> None:
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def step(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad()
        self.batches[Phase.BP] += 1

    def quality(self) -> dict[str, Quality]:
        return {}

    def state_dict(self) -> dict:
        return {"batches": self.batches[Phase.BP],
                "approximation": self.approximation and self.approximation.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.batches[Phase.BP] = state["batches"]
        if self.approximation:
            self.approximation.load_state_dict(state["approximation"])

    def close(self) -> None:
        if self.approximation:
            self.approximation.close()
