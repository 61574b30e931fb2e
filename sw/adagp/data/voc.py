"""Objects in the photographs of PASCAL VOC, whose files torchvision reads."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from .datasets import DataSet, MissingData
from .detection import Detector, detection
from .images import checked_size, resized, torchvision_datasets
from .sources import SampleSource

CLASSES = ("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
           "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor")

_JITTER = 0.2
"""Largest part of the width and height by which an edge moves in training."""


def voc(*, root: Path, size: int = 416, train: Sequence[tuple[str, str]] = (("2007", "trainval"), ("2012", "trainval")),
        test: Sequence[tuple[str, str]] = (("2007", "test"),), detector: Detector = Detector()) -> DataSet:
    """The objects of PASCAL VOC in images of ``size`` × ``size`` pixels with values from 0 to 1.

    ``train`` and ``test`` name years and their sets; ``root`` has the folder VOCdevkit. Images are
    stretched to a square, in training after each edge moved by up to a fifth in or out (black fills
    what is added), half of them mirrored, brightness and saturation changed by up to one half. An
    object stays as long as its centre is visible.
    """
    checked_size(size, max(detector.strides))
    return DataSet(name="voc", task=detection(detector),
                   train=SampleSource(_Sets(root, train), prepare=partial(_jittered, size), collate=list),
                   test=SampleSource(_Sets(root, test), prepare=partial(_whole, size), collate=list),
                   classes=len(CLASSES), shape=(3, size, size))


class _Sets:
    """The images and annotations of several sets, one after the other."""

    def __init__(self, root: Path, sets: Sequence[tuple[str, str]]):
        read = torchvision_datasets("voc").VOCDetection
        self.parts = []
        for year, which in sets:
            try:
                self.parts.append(read(root=str(root), year=year, image_set=which, download=False))
            except (RuntimeError, OSError) as error:
                raise MissingData(f"voc: put the unpacked VOCdevkit/VOC{year} with ImageSets/Main/{which}.txt "
                                  f"(http://host.robots.ox.ac.uk/pascal/VOC) into {root}") from error
        self.places = [(part, index) for part in self.parts for index in range(len(part))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple:
        part, place = self.places[index]
        return part[place]


def _whole(size: int, sample: tuple, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    image, annotation = sample
    box = (0, 0, image.width, image.height)
    return resized(image, size, box) / 255, _objects(annotation, box)


def _jittered(size: int, sample: tuple, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    image, annotation = sample
    moves = (torch.rand(4, generator=generator) * 2 - 1) * _JITTER
    extent = torch.tensor([image.width, image.height] * 2)
    box = (torch.tensor([0, 0, image.width, image.height]) + (moves * extent).round().int()).tolist()
    part = resized(image.convert("RGB").crop(box), size, (0, 0, box[2] - box[0], box[3] - box[1])) / 255
    return _mirrored_and_recoloured(part, _objects(annotation, box), generator)


def _mirrored_and_recoloured(image: torch.Tensor, objects: torch.Tensor, generator: torch.Generator
                             ) -> tuple[torch.Tensor, torch.Tensor]:
    mirror, brightness, saturation = torch.rand(3, generator=generator)
    if mirror < 0.5:
        image, objects[:, 1] = image.flip(-1), 1 - objects[:, 1]
    grey = image.mean(0, keepdim=True)
    return ((grey + (image - grey) * (0.5 + saturation)) * (0.5 + brightness)).clamp(0, 1), objects


def _objects(annotation: dict, box: Sequence[int]) -> torch.Tensor:
    """Objects of an annotation whose centre lies in ``box`` (left, top, right, bottom, in pixels), in shares
    of it, as the detection task has them."""
    left, top, right, bottom = box
    rows = []
    for each in annotation["annotation"]["object"]:
        corner = {name: float(value) for name, value in each["bndbox"].items()}
        low_x, high_x = ((x - left) / (right - left) for x in (corner["xmin"] - 1, corner["xmax"]))  # pixels count from 1
        low_y, high_y = ((y - top) / (bottom - top) for y in (corner["ymin"] - 1, corner["ymax"]))
        if not (0 <= low_x + high_x < 2 and 0 <= low_y + high_y < 2):
            continue
        low_x, low_y, high_x, high_y = (min(max(value, 0), 1) for value in (low_x, low_y, high_x, high_y))
        rows.append([CLASSES.index(each["name"]), (low_x + high_x) / 2, (low_y + high_y) / 2, high_x - low_x,
                     high_y - low_y, float(each.get("difficult", 0))])
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
