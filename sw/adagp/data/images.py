"""CIFAR-10, CIFAR-100 and ImageNet, whose files torchvision reads."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from .arrays import arrays
from .augmentation import crop_box, flipped, shifted
from .datasets import DataSet, MissingData
from .sources import SampleSource
from .tasks import CLASSIFICATION


def torchvision_datasets(name: str):
    """torchvision.datasets, which data set ``name`` needs. MissingData where it cannot be imported."""
    try:
        from torchvision import datasets  # not a dependency: each of its releases fits one of torch's
    except (ImportError, RuntimeError) as error:  # RuntimeError: it was built for another torch
        raise MissingData(f"{name} needs torchvision, which cannot be imported: "
                          f"install the release of it for torch {torch.__version__}") from error
    return datasets


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and deviation of each channel of the training images, whose values are from 0 to 1."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Float images (…, 3, height, width) from bytes."""
        mean, deviation = torch.tensor([self.mean, self.deviation])[:, :, None, None]
        return (images / 255 - mean) / deviation


@dataclass(frozen=True, kw_only=True)
class _Cifar:
    reader: str
    folder: str
    classes: int
    normalisation: Normalisation


_CIFAR = {
    "cifar10": _Cifar(reader="CIFAR10", folder="cifar-10-batches-py", classes=10, normalisation=Normalisation(
        mean=(0.4914, 0.4822, 0.4465), deviation=(0.2470, 0.2435, 0.2616))),
    "cifar100": _Cifar(reader="CIFAR100", folder="cifar-100-python", classes=100, normalisation=Normalisation(
        mean=(0.5071, 0.4865, 0.4409), deviation=(0.2673, 0.2564, 0.2762)))}

_IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))


def cifar(name: str, *, root: Path) -> DataSet:
    """``name``: "cifar10" or "cifar100". Training images are cropped at random after padding by 4, half of
    them mirrored."""
    kind = _CIFAR[name]
    read = getattr(torchvision_datasets(name), kind.reader)
    try:
        parts = [read(root=str(root), train=train, download=False) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise MissingData(f"{name}: put the folder {kind.folder} of the unpacked Python version "
                          f"(https://www.cs.toronto.edu/~kriz/cifar.html) into {root}") from error
    (data, labels), (test_data, test_labels) = (
        (torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)) for part in parts)
    return arrays(data, labels, test_data, test_labels, name=name, classes=kind.classes,
                  transform=partial(_cropped_and_flipped, kind.normalisation),
                  test_transform=partial(_unchanged, kind.normalisation))


def _cropped_and_flipped(normalised: Normalisation, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return normalised(flipped(shifted(images, 4, generator), generator))


def _unchanged(normalised: Normalisation, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return normalised(images)


def imagenet(*, root: Path, size: int = 224) -> DataSet:
    """The classes of ILSVRC2012, or of any folder of the same arrangement: imagenet/train/⟨class⟩/⟨image⟩ and
    imagenet/val/⟨class⟩/⟨image⟩ within ``root``.

    Images become ``size`` × ``size`` pixels (InceptionV3 wants 299): in training from a random part of
    8 to 100 % of the area with an aspect ratio from 3/4 to 4/3, half of them mirrored; in testing from
    the central square of 7/8 of the shorter side.
    """
    checked_size(size, 1)
    folder = Path(root) / "imagenet"
    read = torchvision_datasets("imagenet").ImageFolder
    try:
        train, test = read(str(folder / "train")), read(str(folder / "val"))
    except OSError as error:
        raise MissingData(f"imagenet: put the images of ILSVRC2012 (https://image-net.org) into {folder}/train/<class>/ "
                          f"and {folder}/val/<class>/") from error
    if train.classes != test.classes:
        raise ValueError(f"{folder}/val must have the {len(train.classes)} classes of {folder}/train, "
                         f"not {len(test.classes)} with {len(set(test.classes) & set(train.classes))} of them")
    return DataSet(name="imagenet", task=CLASSIFICATION,
                   train=SampleSource(train, prepare=partial(_random_part, size), collate=torch.tensor),
                   test=SampleSource(test, prepare=partial(_centre, size), collate=torch.tensor),
                   classes=len(train.classes), shape=(3, size, size))


def checked_size(size: int, step: int) -> int:
    """``size`` if it can be that of images whose width and height are multiples of ``step``."""
    if not isinstance(size, int) or size < 1 or size % step:
        raise ValueError(f"size must be a positive multiple of {step}, not {size!r}")
    return size


def resized(image, size: int, box: tuple[float, float, float, float]) -> torch.Tensor:
    """The ``box`` (left, top, right, bottom) of a PIL ``image`` as (3, size, size) bytes."""
    from PIL.Image import Resampling  # torchvision comes with it

    pixels = image.convert("RGB").resize((size, size), Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)


def _random_part(size: int, sample: tuple, generator: torch.Generator) -> tuple[torch.Tensor, int]:
    image, label = sample
    part = resized(image, size, crop_box(image.width, image.height, generator))
    return _IMAGENET(flipped(part[None], generator)[0]), label


def _centre(size: int, sample: tuple, generator: torch.Generator) -> tuple[torch.Tensor, int]:
    image, label = sample
    half = min(image.width, image.height) * 7 / 16
    across, down = image.width / 2, image.height / 2
    return _IMAGENET(resized(image, size, (across - half, down - half, across + half, down + half))), label
