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
