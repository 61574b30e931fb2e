"""Detection of objects as YOLOv3 does it: the loss, and what a model's output says.

A model gives one map per scale, (images, anchors, height, width, 5 + classes), as they come from its
last convolutions: x, y, width, height, objectness, classes. The target is a list with the objects of
each image, (objects, 6): class, centre x, centre y, width, height in shares of the image, and 1 if the
object is difficult, else 0. Difficult objects need not be found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from .boxes import overlaps, suppressed
from .tasks import Task

ANCHORS = (((116, 90), (156, 198), (373, 326)), ((30, 61), (62, 45), (59, 119)), ((10, 13), (16, 30), (33, 23)))
"""Width and height in pixels of the YOLOv3 paper's anchors, by map, the coarsest map first."""

STRIDES = (32, 16, 8)

Outputs = Sequence[torch.Tensor]
Targets = Sequence[torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What the maps of a model mean.

    ``anchors[map][anchor]`` is a width and a height in pixels of the input image; a cell of a map is
    ``strides[map]`` pixels wide and high.
    """

    anchors: Sequence[Sequence[tuple[float, float]]] = ANCHORS
    strides: Sequence[int] = STRIDES

    def __post_init__(self):
        if len(self.anchors) != len(self.strides):
            raise ValueError(f"Detector.anchors must be those of {len(self.strides)} maps, as many as there are "
                             f"strides, not of {len(self.anchors)}")

    def loss(self, outputs: Outputs, targets: Targets) -> torch.Tensor:
        """Squared errors and cross-entropies, summed over each image, averaged over images.

        An object is the matter of the anchor whose shape overlaps it most, in the cell that holds its
        centre. Any other box is background, unless it overlaps an object by more than 0.5. Small
        objects weigh up to twice as much. (Redmon and Farhadi, YOLOv3, 2018, section 2; weights from
        their darknet.)
        """
        outputs = _in_float(outputs)
        with torch.no_grad():
            boxes = self._boxes(outputs)
        objects = torch.cat([torch.cat([target.new_full((len(target), 1), image), target], 1)
                             for image, target in enumerate(targets)]).to(outputs[0])
        objects = objects[objects[:, 6] == 0]
        anchor = self._best_anchor(objects[:, 4:6], outputs)
        total, first = outputs[0].new_zeros(()), 0
        for index, output in enumerate(outputs):
            here = (anchor >= first) & (anchor < first + output.shape[1])
            place, loss = self._object_loss(index, output, objects[here], anchor[here] - first)
            total = total + loss + _objectness_loss(output[..., 4], place, boxes[index], targets)
            first += output.shape[1]
        return total / len(targets)

    def detections(self, outputs: Outputs, *, confidence: float = 0.01, most_overlap: float = 0.45,
                   most: int = 1000) -> list[torch.Tensor]:
        """What there is in each image, (detections, 6): class, confidence, box; the most confident first.

        Confidence is objectness times class probability and at least ``confidence``. Of those of a class
        that overlap by more than ``most_overlap`` only the most confident stays; not more than ``most``
        enter that comparison.
        """
        return [suppressed(found[found[:, 1].argsort(descending=True, stable=True)[:most]], most_overlap)
                for found in self._candidates(outputs, confidence)]

    def recall(self, outputs: Outputs, targets: Targets) -> tuple[float, int]:
        """Number of objects that a box of their class with a confidence of at least 0.5 overlaps by at least
        0.5, and number of objects. A quick measure: nothing is said of boxes without an object."""
        hits = objects = 0
        for found, target in zip(self._candidates(outputs, 0.5), targets, strict=True):
            target = target[target[:, 5] == 0].to(found)
            fits = (overlaps(target[:, 1:5], found[:, 2:]) >= 0.5) & (target[:, :1] == found[:, 0])
            hits, objects = hits + int(fits.any(1).sum()), objects + len(target)
        return float(hits), objects

    @torch.no_grad()
    def _candidates(self, outputs: Outputs, confidence: float) -> list[torch.Tensor]:
        outputs = _in_float(outputs)
        images = []
        for maps in zip(*(zip(output.flatten(1, 3), boxes.flatten(1, 3), strict=True)
                          for output, boxes in zip(outputs, self._boxes(outputs), strict=True)), strict=True):
            values, boxes = (torch.cat(part) for part in zip(*maps, strict=True))
            scores = values[:, 4:5].sigmoid() * values[:, 5:].sigmoid()
            place, kind = (scores >= confidence).nonzero(as_tuple=True)
            images.append(torch.cat([kind[:, None].to(boxes), scores[place, kind][:, None], boxes[place]], 1))
        return images

    def _boxes(self, outputs: Outputs) -> list[torch.Tensor]:
        """The box of every anchor and cell in shares of the image, for each map (images, anchors, height, width, 4)."""
        boxes = []
        for index, output in enumerate(outputs):
            cells = torch.stack(torch.meshgrid(torch.arange(output.shape[3]), torch.arange(output.shape[2]),
                                               indexing="xy"), -1).to(output)
            sizes = output[..., 2:4].clamp(max=8).exp() * self._sizes(index, output)[:, None, None]  # never infinite
            boxes.append(torch.cat([(output[..., :2].sigmoid() + cells) / _extent(output), sizes], -1))
        return boxes

    def _sizes(self, index: int, output: torch.Tensor) -> torch.Tensor:
        """Anchors of a map in shares of the image (anchors, 2)."""
        return output.new_tensor(self.anchors[index]) / self.strides[index] / _extent(output)

    def _best_anchor(self, sizes: torch.Tensor, outputs: Outputs) -> torch.Tensor:
        """For widths and heights (objects, 2) the anchor of the most similar shape, counted through all maps."""
        anchors = torch.cat([self._sizes(index, output) for index, output in enumerate(outputs)])
        return overlaps(*(torch.cat([torch.zeros_like(part), part], 1) for part in (sizes, anchors))).argmax(1)

    def _object_loss(self, index: int, output: torch.Tensor, objects: torch.Tensor, anchor: torch.Tensor
                     ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Where in ``output`` the objects (count, 7: image, class, box, difficult) belong, and the loss there."""
        position = objects[:, 2:4] * _extent(output)
        cell = torch.minimum(position.floor(), _extent(output) - 1)  # a centre on the far edge is in the last cell
        place = objects[:, 0].long(), anchor, cell[:, 1].long(), cell[:, 0].long()
        found = output[place]
        weight = 2 - objects[:, 4:6].prod(1, keepdim=True)
        logarithm = (objects[:, 4:6] / self._sizes(index, output)[anchor]).log()
        classes = one_hot(objects[:, 1].long(), output.shape[4] - 5).to(output)
        return place, (_cross_entropy(found[:, :2], position - cell, weight) + _cross_entropy(found[:, 5:], classes)
                       + (weight * (found[:, 2:4] - logarithm) ** 2).sum() / 2)


def _objectness_loss(logits: torch.Tensor, place: tuple[torch.Tensor, ...], boxes: torch.Tensor, targets: Targets
                     ) -> torch.Tensor:
    wanted = torch.zeros_like(logits)
    wanted[place] = 1
    background = torch.stack([(overlaps(box, target[:, 1:5].to(box)) <= 0.5).all(-1)
                              for box, target in zip(boxes, targets, strict=True)])
    return _cross_entropy(logits, wanted, (background | wanted.bool()).to(logits))


def _cross_entropy(logits: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    return binary_cross_entropy_with_logits(logits, wanted, weight=weight, reduction="sum")


def _extent(output: torch.Tensor) -> torch.Tensor:
    """Cells across and down."""
    return output.new_tensor([output.shape[3], output.shape[2]])


def _in_float(outputs: Outputs) -> list[torch.Tensor]:
    return [output.to(torch.promote_types(output.dtype, torch.float32)) for output in outputs]


def detection(detector: Detector = Detector()) -> Task:
    """The task for a model whose maps ``detector`` explains. What is usually reported is not a sum over
    batches; see average_precision.mean_average_precision."""
    return Task(name="detection", metric="recall", loss=detector.loss, score=detector.recall)
