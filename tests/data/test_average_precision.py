"""Mean average precision against cases counted by hand."""

import math

import pytest
import torch
from torch import nn

from adagp.data.average_precision import average_precision, mean_average_precision
from adagp.data.detection import Detector

LEFT, RIGHT, TOP = [0.2, 0.5, 0.2, 0.2], [0.8, 0.5, 0.2, 0.2], [0.5, 0.1, 0.2, 0.1]
NEAR_LEFT = [0.22, 0.5, 0.2, 0.2]


def found(*rows):
    return torch.tensor([[kind, confidence, *box] for kind, confidence, box in rows]).reshape(-1, 6)


def objects(*rows):
    return torch.tensor([[kind, *box, difficult] for kind, box, difficult in rows]).reshape(-1, 6)


def test_confidence_orders_detections_of_all_images():
    """Of three objects two are found, by the first and the third detection: (1 + 2/3) / 3."""
    detections = [found((0, 0.9, LEFT), (0, 0.6, TOP)), found((0, 0.8, TOP), (0, 0.7, RIGHT))]
    targets = [objects((0, LEFT, 0), (0, RIGHT, 0)), objects((0, RIGHT, 0))]
    assert average_precision(detections, targets, classes=1).tolist() == pytest.approx([5 / 9])


def test_precision_is_the_highest_at_that_recall_or_more():
    """Wrong, right, right: precisions 1/2 and 2/3, of which the better one counts for both."""
    detections = [found((0, 0.9, TOP), (0, 0.8, LEFT), (0, 0.7, RIGHT))]
    assert average_precision(detections, [objects((0, LEFT, 0), (0, RIGHT, 0))], classes=1).tolist() == pytest.approx([2 / 3])


def test_second_detection_of_an_object_is_wrong():
    """Right, wrong, right: (1 + 2/3) / 2."""
    detections = [found((0, 0.7, RIGHT), (0, 0.9, LEFT), (0, 0.8, NEAR_LEFT))]
    assert average_precision(detections, [objects((0, LEFT, 0), (0, RIGHT, 0))], classes=1).tolist() == pytest.approx([5 / 6])


def test_difficult_objects_neither_help_nor_harm():
    detections = [found((0, 0.9, LEFT), (0, 0.85, NEAR_LEFT), (0, 0.8, RIGHT))]
    targets = [objects((0, LEFT, 1), (0, RIGHT, 0), (0, TOP, 1))]
    assert average_precision(detections, targets, classes=1).tolist() == [1]


def test_classes_are_apart():
    detections = [found((1, 0.9, LEFT), (0, 0.5, LEFT)), found((2, 0.9, LEFT))]
    precisions = average_precision(detections, [objects((0, LEFT, 0)), objects((1, LEFT, 0))], classes=4)
    assert precisions[:2].tolist() == [1, 0] and precisions[2:].isnan().all()


@pytest.mark.parametrize("overlap, want", [(0.8, 1), (0.85, 0)])  # 0.18 of 0.22 wide: 9/11
def test_overlap_decides(overlap, want):
    assert average_precision([found((0, 0.9, NEAR_LEFT))], [objects((0, LEFT, 0))], classes=1, overlap=overlap) == want


def test_nothing_found_is_zero():
    assert average_precision([found()], [objects((0, LEFT, 0))], classes=1).tolist() == [0]


def test_mean_over_a_data_set():
    """A model whose maps are its inputs: of two classes one is found, of the third there is nothing."""
    detector = Detector(anchors=(((40, 20),),), strides=(16,))
    empty, full = torch.full((2, 1, 3, 4, 8), -20.0)
    full[0, 1, 1] = torch.tensor([0, 0, 0, 0, 9, 9, -20, -20])
    box = [24 / 64, 24 / 48, 40 / 64, 20 / 48]
    batches = [(full[None], [objects((0, box, 0))]), (empty[None], [objects((1, box, 0))])]

    class Maps(nn.Module):
        def forward(self, images):
            return [images]

    assert math.isclose(mean_average_precision(Maps(), batches, detector=detector, classes=3), 0.5)
