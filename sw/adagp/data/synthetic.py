"""Random samples of the shapes of real data sets, to measure speed with and to try things out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from .batches import seeded
from .datasets import DataSet
from .detection import Detector, detection
from .images import checked_size
from .sources import SampleSource
from .tasks import CLASSIFICATION
from .translation import SPECIAL, TRANSLATION, PairSource, Vocabulary
from .voc import CLASSES


@dataclass(frozen=True, kw_only=True)
class Samples:
    """``count`` samples. Each depends on ``key`` and its number alone and is made when it is asked for."""

    count: int
    key: tuple
    make: Callable[[torch.Generator], Any]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.make(seeded(*self.key, index))


Split = Callable[[Callable[[torch.Generator], Any]], dict[str, Samples]]
"""Samples that a function makes, for "train" and for "test"."""


def images(split: Split, *, name: str, size: int, classes: int, channels: int = 3) -> DataSet:
    """Normally distributed pixels of some class."""
    for option, value in (("classes", classes), ("channels", channels)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{option} must be an integer of at least 1, not {value!r}")
    shape = channels, checked_size(size, 1), size
    sources = {part: SampleSource(samples, collate=torch.tensor)
               for part, samples in split(partial(_image, shape, classes)).items()}
    return DataSet(name=name, task=CLASSIFICATION, classes=classes, shape=shape, **sources)


def _image(shape: tuple[int, ...], classes: int, generator: torch.Generator) -> tuple[torch.Tensor, int]:
    return torch.randn(shape, generator=generator), int(torch.randint(classes, (), generator=generator))


def objects(split: Split, *, name: str, size: int = 416, detector: Detector = Detector()) -> DataSet:
    """Pixels evenly distributed from 0 to 1, and one to five objects that are a twentieth to half as wide and
    high as the image."""
    shape = 3, checked_size(size, max(detector.strides)), size
    sources = {part: SampleSource(samples, collate=list) for part, samples in split(partial(_scene, shape)).items()}
    return DataSet(name=name, task=detection(detector), classes=len(CLASSES), shape=shape, **sources)


def _scene(shape: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    count = int(torch.randint(1, 6, (), generator=generator))
    kinds = torch.randint(len(CLASSES), (count, 1), generator=generator)
    extent = 0.05 + 0.45 * torch.rand(count, 2, generator=generator)
    centre = extent / 2 + (1 - extent) * torch.rand(count, 2, generator=generator)
    return torch.rand(shape, generator=generator), torch.cat([kinds, centre, extent, torch.zeros(count, 1)], 1)


def sentences(split: Split, *, name: str, words: tuple[int, int] = (7853, 5893), length: int = 64) -> DataSet:
    """Pairs of sentences of 5 to 20 words, evenly distributed over vocabularies of ``words`` words."""
    if min(words) <= len(SPECIAL):
        raise ValueError(f"words must be more than {len(SPECIAL)} in both languages, not {words!r}")
    vocabularies = tuple(Vocabulary(f"{side}{number}" for number in range(count - len(SPECIAL)))
                         for side, count in zip(("source", "target"), words, strict=True))
    sources = {part: PairSource(samples, length) for part, samples in split(partial(_pair, words)).items()}
    return DataSet(name=name, task=TRANSLATION, classes=words[1], shape=(length,), vocabularies=vocabularies, **sources)


def _pair(words: tuple[int, int], generator: torch.Generator) -> tuple[list[int], list[int]]:
    lengths = torch.randint(5, 21, (2,), generator=generator).tolist()
    return tuple(torch.randint(len(SPECIAL), count, (length,), generator=generator).tolist()
                 for count, length in zip(words, lengths, strict=True))


KINDS: dict[str, Callable[..., DataSet]] = {
    "digits": partial(images, size=8, classes=10, channels=1),
    "digits-noisy": partial(images, size=8, classes=10, channels=1),
    "cifar10": partial(images, size=32, classes=10),
    "cifar100": partial(images, size=32, classes=100),
    "imagenet": partial(images, size=224, classes=1000),
    "voc": objects,
    "multi30k": sentences}


def synthetic(kind: str, *, samples: int = 1024, seed: int = 0, **options) -> DataSet:
    """``samples`` random samples like those of the data set ``kind``, one of KINDS, and a quarter as many to
    test with. Nothing can be learnt from them but they themselves.

    ``options`` are those of images (for classification), objects (voc) and sentences (multi30k).
    """
    if not isinstance(samples, int) or samples < 1:
        raise ValueError(f"samples must be an integer of at least 1, not {samples!r}")
    name = f"synthetic-{kind}"
    counts = {"train": samples, "test": -(-samples // 4)}

    def split(make: Callable[[torch.Generator], Any]) -> dict[str, Samples]:
        return {part: Samples(count=count, key=(name, seed, part), make=make) for part, count in counts.items()}

    return KINDS[kind](split, name=name, **options)
