"""How good predicted gradients are."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Of a layer's predicted weight gradients, each figure the mean over ``batches`` batches.

    ``mse`` is the mean squared error; ``mape`` the mean absolute percentage error as the paper defines
    it (section 6.1.2), over the weights whose true gradient is not zero; ``cosine`` that of the angle
    between prediction and truth, 0 if one of them is zero throughout.
    """

    mse: float
    mape: float
    cosine: float
    batches: int = 1

    @classmethod
    def of(cls, predicted: torch.Tensor, true: torch.Tensor) -> "Quality":
        """Of one batch; both tensors of any equal shape."""
        predicted, true = (tensor.detach().reshape(-1).float() for tensor in (predicted, true))
        norms = predicted.norm() * true.norm()
        cosine = predicted.dot(true) / norms.clamp_min(torch.finfo(torch.float32).tiny)
        difference = predicted - true
        mse = difference.dot(difference) / true.numel()
        ratios = difference.div_(true.where(true != 0, torch.inf))
        mape = ratios.norm(1) / true.count_nonzero().clamp_min(1)
        mse, mape, cosine = torch.stack((mse, 100 * mape, cosine)).tolist()
        return cls(mse=mse, mape=mape, cosine=cosine)

    def __add__(self, other: "Quality") -> "Quality":
        """Of the batches of both."""
        batches = self.batches + other.batches

        def mean(mine: float, others: float) -> float:
            return (mine * self.batches + others * other.batches) / batches

        return Quality(mse=mean(self.mse, other.mse), mape=mean(self.mape, other.mape),
                       cosine=mean(self.cosine, other.cosine), batches=batches)


class Measurements:
    """The quality of predictions over a run: what is reported, and what decides about predicting."""

    def __init__(self):
        self.recent: dict[str, float] = {}
        """Cosine of each layer, decayed by 0.9 per measured batch."""
        self.cosine: float | None = None
        """Mean over the layers, of the batch measured last."""
        self._report: dict[str, Quality] = {}
        self._phase: list[float] = []

    def add(self, qualities: dict[str, Quality], *, warmup: bool) -> None:
        """Of a batch, by layer; nothing if it was not measured."""
        for name, quality in qualities.items():
            self._report[name] = self._report[name] + quality if name in self._report else quality
            self.recent[name] = 0.9 * self.recent.get(name, quality.cosine) + 0.1 * quality.cosine
        if qualities:
            self.cosine = sum(quality.cosine for quality in qualities.values()) / len(qualities)
            if not warmup:
                self._phase.append(self.cosine)

    def take_report(self) -> dict[str, Quality]:
        """By layer, since the last call."""
        report, self._report = self._report, {}
        return report

    @property
    def of_phase(self) -> float | None:
        """Mean cosine in this Phase BP; None if nothing was measured."""
        return sum(self._phase) / len(self._phase) if self._phase else None

    def begin_phase(self) -> None:
        self._phase.clear()

    def state_dict(self) -> dict:
        return {"report": {name: vars(quality).copy() for name, quality in self._report.items()},
                "recent": dict(self.recent), "cosine": self.cosine, "phase": list(self._phase)}

    def load_state_dict(self, state: dict) -> None:
        self._report = {name: Quality(**values) for name, values in state["report"].items()}
        self.recent, self.cosine, self._phase = dict(state["recent"]), state["cosine"], list(state["phase"])
