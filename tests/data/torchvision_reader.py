"""What the data sets use of torchvision, which cannot be installed beside every torch, read from memory."""

from types import SimpleNamespace

import numpy as np
from PIL import Image


class Files:
    """torchvision.datasets over ``contents``, whose keys say what would be read; the error of a folder that
    is not there is the one that torchvision raises."""

    def __init__(self):
        self.contents = {}

    def _get(self, key, error):
        if key not in self.contents:
            raise error("Dataset not found or corrupted. You can use download=True to download it")
        return self.contents[key]

    def _cifar(self, root, train, download):
        assert download is False
        return self._get((root, train), RuntimeError)

    CIFAR10 = CIFAR100 = _cifar

    def ImageFolder(self, root):
        return self._get(root, FileNotFoundError)

    def VOCDetection(self, root, year, image_set, download):
        assert download is False
        return self._get((root, year, image_set), RuntimeError)


def cifar_part(count, seed):
    random = np.random.default_rng(seed)
    return SimpleNamespace(data=random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
                           targets=random.integers(0, 10, count).tolist())


def photograph(width, height, seed=0):
    """Smooth, so that it looks about the same however it is resized."""
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([y / height * 255, x / width * 255, (x + y + 20 * seed) % 256], -1).astype(np.uint8))


class Folder(list):
    """(image, label) pairs, as an ImageFolder."""

    def __init__(self, pairs, classes):
        super().__init__(pairs)
        self.classes = classes
