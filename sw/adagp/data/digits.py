"""Handwritten digits, 8×8 pixels, that come with scikit-learn; and a noisy version that is harder."""

import torch

from .arrays import arrays
from .augmentation import shifted
from .batches import seeded
from .datasets import DataSet, MissingData

TRAINING = 1437
"""Training samples; the other 360 are for testing."""


def digits(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """scikit-learn's handwritten digits, 8×8 pixels of mean 0 and deviation 1, shuffled: 1,437 training
    samples and their labels, 360 test samples and their labels."""
    try:
        from sklearn.datasets import load_digits  # slow to import
    except ImportError as error:
        raise MissingData("digits come with scikit-learn, which is not installed: pip install scikit-learn") from error

    source = load_digits()
    order = torch.randperm(len(source.target), generator=torch.Generator().manual_seed(seed))
    data = torch.tensor(source.images, dtype=torch.float32)[order, None]
    data = (data - data[:TRAINING].mean()) / data[:TRAINING].std()
    labels = torch.tensor(source.target)[order]
    return data[:TRAINING], labels[:TRAINING], data[TRAINING:], labels[TRAINING:]


def plain_digits(*, seed: int = 0) -> DataSet:
    """The digits as they are; ``seed`` chooses which are for testing."""
    return arrays(*digits(seed), name="digits", classes=10)


def noisy_digits(*, seed: int = 0, shift: int = 1, noise: float = 0.6, test_copies: int = 1) -> DataSet:
    """Digits moved by up to ``shift`` pixels in both directions, with Gaussian noise of deviation ``noise``
    (that of the pixels is 1) on top.

    Training samples are moved and noised afresh every time. Test samples never change; each occurs
    ``test_copies`` times, differently, which lowers the variance of what is measured with them.
    """
    for name, value, least in (("shift", shift, 0), ("noise", noise, 0), ("test_copies", test_copies, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value!r}")
    data, labels, test_data, test_labels = digits(seed)
    background = float(data.min())  # ink counts from 0, and every image has pixels without

    def disturbed(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        moved = shifted(images, shift, generator, fill=background)
        return moved + noise * torch.randn(moved.shape, generator=generator)

    return arrays(data, labels, disturbed(test_data.repeat(test_copies, 1, 1, 1), seeded("digits-noisy", seed)),
                  test_labels.repeat(test_copies), name="digits-noisy", classes=10, transform=disturbed)
