"""YOLOv3's loss, boxes, and recall; non-maximum suppression."""

import math

import pytest
import torch

from adagp.data.average_precision import average_precision
from adagp.data.boxes import overlaps, suppressed
from adagp.data.detection import Detector, detection

SMALL = Detector(anchors=(((40, 20), (20, 40)), ((10, 10), (6, 14))), strides=(16, 8))
"""Two maps of 4×3 and 8×6 cells for images 64 pixels wide and 48 high."""


def maps(images=2, classes=3, seed=0):
    torch.manual_seed(seed)
    return [torch.randn(images, 2, 3, 4, 5 + classes), torch.randn(images, 2, 6, 8, 5 + classes)]


TARGETS = [torch.tensor([[2, 0.30, 0.40, 0.55, 0.45, 0], [0, 0.70, 0.20, 0.15, 0.20, 0], [1, 0.5, 0.9, 0.5, 0.2, 1]]),
           torch.zeros(0, 6)]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(x, wanted):
    return -wanted * math.log(sigmoid(x)) - (1 - wanted) * math.log(1 - sigmoid(x))


def overlap(a, b):
    """Intersection over union of two boxes (centre x, centre y, width, height)."""
    width, height = (max(0, min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2))
                     for i in (0, 1))
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def literal_loss(outputs, targets):
    """The loss of SMALL, cell by cell."""
    total, width, height = 0.0, 64, 48
    for image, objects in enumerate(targets):
        objects, owners = objects.tolist(), {}
        for row in objects:
            if not row[5]:
                shape = [0, 0, row[3] * width, row[4] * height]
                scale, anchor = max(((s, a) for s in range(2) for a in range(2)),
                                    key=lambda place: overlap(shape, [0, 0, *SMALL.anchors[place[0]][place[1]]]))
                stride = SMALL.strides[scale]
                owners[scale, anchor, int(row[2] * height / stride), int(row[1] * width / stride)] = row
        for scale, output in enumerate(outputs):
            stride = SMALL.strides[scale]
            for anchor, y, x in ((a, y, x) for a in range(2) for y in range(output.shape[2]) for x in range(output.shape[3])):
                values = output[image, anchor, y, x].tolist()
                size = SMALL.anchors[scale][anchor]
                row = owners.get((scale, anchor, y, x))
                if row is None:
                    box = [(x + sigmoid(values[0])) * stride / width, (y + sigmoid(values[1])) * stride / height,
                           size[0] * math.exp(values[2]) / width, size[1] * math.exp(values[3]) / height]
                    if all(overlap(box, other[1:5]) <= 0.5 for other in objects):
                        total += cross_entropy(values[4], 0)
                    continue
                weight = 2 - row[3] * row[4]
                total += cross_entropy(values[4], 1)
                total += weight * cross_entropy(values[0], row[1] * width / stride - x)
                total += weight * cross_entropy(values[1], row[2] * height / stride - y)
                total += weight / 2 * (values[2] - math.log(row[3] * width / size[0])) ** 2
                total += weight / 2 * (values[3] - math.log(row[4] * height / size[1])) ** 2
                total += sum(cross_entropy(value, kind == row[0]) for kind, value in enumerate(values[5:]))
    return total / len(targets)


@pytest.mark.parametrize("seed", range(3))
def test_loss_is_the_literal_one(seed):
    outputs = [output.double() for output in maps(seed=seed)]
    assert math.isclose(SMALL.loss(outputs, TARGETS), literal_loss(outputs, TARGETS), rel_tol=1e-6)


def test_box_that_overlaps_an_object_is_no_background():
    """The second anchor of the cell fits the difficult object and is left alone, whatever its objectness."""
    outputs = [torch.full_like(output, -4.0) for output in maps(images=1)]
    target = [torch.tensor([[1, 0.375, 0.5, 0.3, 0.8, 1]])]
    outputs[0][0, 1, 1, 1, :4] = torch.tensor([0, 0, 0, 0])
    losses = []
    for objectness in (-4.0, 4.0):
        outputs[0][0, 1, 1, 1, 4] = objectness
        losses.append(float(SMALL.loss(outputs, target)))
    assert losses[0] == losses[1]
    outputs[0][0, 1, 0, 1, 4] = 4.0
    assert SMALL.loss(outputs, target) > losses[0] + 3


def test_centre_on_the_far_edge_is_in_the_last_cell():
    outputs = maps(images=1)
    assert torch.isfinite(SMALL.loss(outputs, [torch.tensor([[0, 1.0, 1.0, 0.1, 0.1, 0]])]))


def test_perfect_maps_are_learnt():
    outputs = [output.requires_grad_() for output in maps()]
    optimizer = torch.optim.Adam(outputs, lr=0.2)
    task = detection(SMALL)
    before = task.score(outputs, TARGETS)
    for _ in range(70):
        optimizer.zero_grad()
        task.loss(outputs, TARGETS).backward()
        optimizer.step()
    assert before[0] < 2 and task.score(outputs, TARGETS) == (2.0, 2)
    found = SMALL.detections(outputs)
    assert average_precision(found, TARGETS, classes=3)[[0, 2]].tolist() == [1, 1]
    for want in TARGETS[0][:2]:
        best = found[0][found[0][:, 0] == want[0]][0]
        assert best[1] > 0.9
        torch.testing.assert_close(best[2:], want[1:5], atol=0.02, rtol=0)


def test_recall_wants_class_confidence_and_place():
    outputs = [torch.full_like(output, -9.0) for output in maps(images=1)]
    # a box of 40×20 pixels at (24, 24)
    outputs[0][0, 0, 1, 1] = torch.tensor([0, 0, 0, 0, 9, -9, 9, -9])
    want = torch.tensor([1, 24 / 64, 24 / 48, 40 / 64, 20 / 48, 0])
    for column, value, hits in ((0, 1, 1), (0, 2, 0), (1, 0.5, 1), (1, 0.7, 0), (5, 1, None)):
        changed = want.clone()
        changed[column] = value
        assert SMALL.recall(outputs, [changed[None]]) == ((0, 0) if hits is None else (hits, 1))
    outputs[0][0, 0, 1, 1, 4] = -0.1
    assert SMALL.recall(outputs, [want[None]]) == (0, 1)


def test_confidence_is_objectness_times_class():
    outputs = [torch.full_like(output, -20.0) for output in maps(images=1)]
    outputs[1][0, 1, 2, 3] = torch.tensor([0, 0, math.log(2), 0, 0, math.log(3), -20, 0])
    found, = SMALL.detections(outputs, confidence=0.1)
    want = torch.tensor([[0, 0.5 * 0.75, 28 / 64, 20 / 48, 12 / 64, 14 / 48], [2, 0.25, 28 / 64, 20 / 48, 12 / 64, 14 / 48]])
    torch.testing.assert_close(found, want)


def test_absurd_sizes_stay_finite():
    outputs = [torch.full_like(output, 200.0) for output in maps(images=1)]
    assert all(torch.isfinite(found).all() for found in SMALL.detections(outputs, most=20))


def test_half_precision_maps_are_accepted():
    outputs = [output.bfloat16() for output in maps()]
    assert torch.equal(SMALL.loss(outputs, TARGETS), SMALL.loss([output.float() for output in outputs], TARGETS))


def test_overlaps_are_intersection_over_union():
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.6, 0.5, 0.2, 0.2], [0.9, 0.9, 0.1, 0.1], [0.5, 0.5, 0.1, 0.1]])
    torch.testing.assert_close(overlaps(boxes[:1], boxes), torch.tensor([[1, 1 / 3, 0, 1 / 4]]))
    assert overlaps(torch.zeros(1, 4), torch.zeros(1, 4)).tolist() == [[0]]


def test_suppression_keeps_the_most_confident_of_a_class():
    found = torch.tensor([[0, 0.6, 0.52, 0.5, 0.2, 0.2],   # hidden by the next one
                          [0, 0.9, 0.50, 0.5, 0.2, 0.2],
                          [1, 0.5, 0.51, 0.5, 0.2, 0.2],   # of another class
                          [0, 0.4, 0.60, 0.5, 0.2, 0.2],   # overlaps the hidden one by 3/7, the kept one by 1/3
                          [0, 0.7, 0.20, 0.2, 0.2, 0.2]])  # elsewhere
    assert suppressed(found, 0.4)[:, 1].tolist() == pytest.approx([0.9, 0.7, 0.5, 0.4])
    assert suppressed(found, 0.3)[:, 1].tolist() == pytest.approx([0.9, 0.7, 0.5])
    assert suppressed(found[:0], 0.4).shape == (0, 6)


def test_anchors_and_strides_must_match():
    with pytest.raises(ValueError, match="^Detector.anchors must be those of 3 maps, as many as .*, not of 1$"):
        Detector(anchors=(((1, 2),),))
