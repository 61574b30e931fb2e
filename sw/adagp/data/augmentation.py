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


def crop_box(width: int, height: int, generator: torch.Generator) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a random part of an image: its share of the area is uniform from 8 to
    100 %, the logarithm of its aspect ratio uniform within 3/4 to 4/3.

    Where ten tries do not fit, the largest central part with an aspect ratio within these bounds.
    """
    for _ in range(10):
        area, ratio, across, down = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
        pixels = width * height * (0.08 + 0.92 * area)
        aspect = (3 / 4) ** (1 - 2 * ratio)
        wide, high = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(across * (width - wide + 1)), int(down * (height - high + 1))
            break
    else:
        wide, high = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
        left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high
