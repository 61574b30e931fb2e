"""Mean average precision of a detector, as PASCAL VOC measures it since 2010."""

from collections.abc import Iterable

import torch
from torch import nn

from .boxes import overlaps
from .detection import Detector, Targets


def average_precision(found: list[torch.Tensor], targets: Targets, *, classes: int, overlap: float = 0.5) -> torch.Tensor:
    """For each class the area under precision over recall, NaN without objects: (classes).

    ``found`` and ``targets`` have an entry per image: (detections, 6: class, confidence, box) and
    (objects, 6) as in detection. The detections of a class come in the order of their confidence. One
    is right if of the objects of its class the one that it overlaps most is overlapped by at least
    ``overlap`` and was not found before; if that object is difficult, it does not count. The
    precision at a recall is the highest at that recall or a larger one.
    """
    return torch.tensor([_of_class(kind, found, targets, overlap) for kind in range(classes)])


def mean_average_precision(model: nn.Module, batches: Iterable, *, detector: Detector, classes: int,
                           overlap: float = 0.5, device: torch.device | str = "cpu") -> float:
    """Mean over the classes that occur, for a ``model`` on ``device`` in evaluation mode and ``batches`` of images
    and targets."""
    found, targets = [], []
    with torch.no_grad():
        for images, target in batches:
            found += [each.cpu() for each in detector.detections(model(images.to(device)))]
            targets += target
    return float(average_precision(found, targets, classes=classes, overlap=overlap).nanmean())


def _of_class(kind: int, found: list[torch.Tensor], targets: Targets, overlap: float) -> float:
    verdicts, objects = [], 0  # (confidence, right?) of all images
    for detected, target in zip(found, targets, strict=True):
        target = target[target[:, 0] == kind]
        objects += int((target[:, 5] == 0).sum())
        detected = detected[detected[:, 0] == kind]
        verdicts += _verdicts(detected[detected[:, 1].argsort(descending=True, stable=True)], target, overlap)
    if not objects:
        return float("nan")
    if not verdicts:
        return 0.0
    right = torch.tensor([right for _, right in sorted(verdicts, key=lambda verdict: -verdict[0])], dtype=torch.float64)
    precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
    highest = precision.flip(0).cummax(0).values.flip(0)
    return float((highest * right).sum() / objects)  # recall rises by 1/objects with each right one


def _verdicts(detected: torch.Tensor, target: torch.Tensor, overlap: float) -> list[tuple[float, bool]]:
    """Confidence of an image's detections of a class, the most confident first, and whether they are right;
    without those of difficult objects."""
    if not len(target):
        return [(confidence, False) for confidence in detected[:, 1].tolist()]
    most, nearest = overlaps(detected[:, 2:], target[:, 1:5]).max(1)
    verdicts, taken = [], set()
    for confidence, fits, which in zip(detected[:, 1].tolist(), (most >= overlap).tolist(), nearest.tolist(), strict=True):
        if fits and target[which, 5]:
            continue
        verdicts.append((confidence, fits and which not in taken))
        if fits:
            taken.add(which)
    return verdicts
