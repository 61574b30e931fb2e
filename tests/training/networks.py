"""Small networks and samples for tests of training."""

import torch
from torch import nn


def mixed() -> nn.Sequential:
    """(batch, 2, 6, 6) → (batch, 4): dense, grouped, depthwise and transposed convolution, batch
    normalisation, activation in place, linear layers."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(4 * 36, 12), nn.Tanh(), nn.Linear(12, 4))


def batches(count: int, size: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Samples and labels for :func:`mixed`."""
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(size, 2, 6, 6, generator=generator), torch.randint(4, (size,), generator=generator))
            for _ in range(count)]


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def same_bits(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(some) == len(others) and all(torch.equal(one.view(torch.int32), other.view(torch.int32))
                                            for one, other in zip(some, others))
