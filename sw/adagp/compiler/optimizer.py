"""How parameters follow their gradients."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Momentum SGD as ``torch.optim.SGD(lr, momentum)``: m ← μ·m + g, w ← w − lr·m."""

    lr: float
    momentum: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam as ``torch.optim.Adam(lr, betas, eps)`` but for eps, which is under the root: the step is
    lr·m̂ / √(v̂ + eps²). It is made on the parameters that have a gradient: what a smaller layer does
    not use of the predictor keeps value and moments (as SparseAdam does)."""

    lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
