"""Random changes to whole batches of images (images, channels, height, width), each image its own."""

import torch
from torch.nn.functional import pad


def shifted(images: torch.Tensor, most: int, generator: torch.Generator, *, fill: float = 0) -> torch.Tensor:
    """Images moved by −``most`` to ``most`` pixels in both directions; what comes into view is ``fill``.

    The same as a random crop of the original size after padding by ``most``.
    """
    count, channels, height, width = images.shape
    down, right = torch.randint(2 * most + 1, (2, count, 1), generator=generator)
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    padded = pad(images, [most] * 4, value=fill)
    return padded[torch.arange(count)[:, None, None, None], torch.arange(channels)[:, None, None],
                  rows[:, None, :, None], columns[:, None, None]]


def flipped(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Half of the images, chosen at random, mirrored left to right."""
    chosen = torch.randint(2, (len(images), 1, 1, 1), generator=generator).bool()
    return torch.where(chosen, images.flip(-1), images)
