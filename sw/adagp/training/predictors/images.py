"""Mean images of the layers' outputs (the paper's tensor reorganisation)."""

import torch

from ..layers import Layer
from ..replicas import Replicas


class MeanImages:
    """Collects, layer by layer, the mean over the batch of its output as one image per output channel."""

    def __init__(self, replicas: Replicas):
        self._replicas = replicas
        self._images: dict[Layer, list[torch.Tensor]] = {}

    def add(self, layer: Layer, output: torch.Tensor) -> None:
        """One of the batch's forward passes."""
        self._images.setdefault(layer, []).append(layer.images(output))

    def take(self, layer: Layer) -> torch.Tensor:
        """(outputs, 1, height, width), the mean of what was added, over all replicas; it is forgotten."""
        images = self._images.pop(layer)
        return self._replicas.mean(torch.stack(images).mean(0) if len(images) > 1 else images[0])[:, None]

    def clear(self) -> None:
        self._images.clear()
