"""PASCAL VOC, of what torchvision reads."""

import pytest
import torch
from torchvision_reader import photograph

from adagp.data import Batches, load
from adagp.data.voc import CLASSES


def annotation(*objects):
    return {"annotation": {"object": [
        {"name": name, "difficult": str(difficult),
         "bndbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), map(str, corners), strict=True))}
        for name, difficult, *corners in objects]}}


@pytest.fixture
def voc(files):
    picture = photograph(100, 80)
    whole = (picture, annotation(("dog", 0, 21, 9, 60, 40), ("person", 1, 1, 1, 100, 80)))
    files.contents = {("data", "2007", "trainval"): [whole] * 3, ("data", "2012", "trainval"): [whole] * 2,
                      ("data", "2007", "test"): [whole, (picture, annotation())]}
    return files


def test_boxes_are_shares_of_the_image(voc):
    data = load("voc", size=64)
    assert (len(data.train), len(data.test), data.classes, data.shape) == (5, 2, 20, (3, 64, 64))
    (inputs, target), = Batches(data.test, batch=2, shuffle=False).epoch(0)
    want = torch.tensor([[CLASSES.index("dog"), 0.4, 0.3, 0.4, 0.4, 0], [CLASSES.index("person"), 0.5, 0.5, 1, 1, 1]])
    torch.testing.assert_close(target[0], want)
    assert target[1].shape == (0, 6) and inputs.shape == (2, 3, 64, 64)
    assert 0 <= inputs.min() and 0.95 < inputs.max() <= 1


@pytest.mark.parametrize("workers", [0, 1])
def test_epoch_is_resumed_bit_for_bit(voc, workers):
    source = load("voc", size=32).train
    whole = list(Batches(source, batch=2).epoch(2))
    (inputs, target), = Batches(source, batch=2, workers=workers).epoch(2, 2)
    assert torch.equal(inputs, whole[2][0]) and torch.equal(target[0], whole[2][1][0])


def test_boxes_stay_on_their_objects_in_training(files):
    """White rectangles on black are found again where the boxes say."""
    from PIL import Image

    picture = Image.new("RGB", (120, 90))
    picture.paste((255, 255, 255), (30, 20, 70, 50))  # pixels 31 to 70 and 21 to 50, counted from 1
    files.contents = {("data", "2012", "train"): [(picture, annotation(("cat", 0, 31, 21, 70, 50)))] * 40}
    data = load("voc", size=96, train=[("2012", "train")], test=[("2012", "train")])
    (inputs, target), = Batches(data.train, batch=40, shuffle=False).epoch(0)
    left = 0
    for image, objects in zip(inputs, target, strict=True):
        bright = image[0] > image.max() / 2
        rows, columns = bright.any(1).nonzero(), bright.any(0).nonzero()
        low = torch.tensor([columns.min(), rows.min()]) / 96
        high = (torch.tensor([columns.max(), rows.max()]) + 1) / 96
        torch.testing.assert_close(objects[0, 1:5], torch.cat([(low + high) / 2, high - low]), atol=0.012, rtol=0)
        left += bool(objects[0, 1] < 0.5)
    assert 8 < left < 32  # some are mirrored


def test_object_out_of_sight_is_left_out(files):
    files.contents = {("data", "2012", "train"): [(photograph(100, 80), annotation(("cat", 0, 1, 1, 4, 80)))] * 60}
    data = load("voc", size=32, train=[("2012", "train")], test=[("2012", "train")])
    (_, target), = Batches(data.train, batch=60, shuffle=False).epoch(0)
    assert 10 < sum(map(len, target)) < 50
    assert all((0 <= row[1:5]).all() and (row[1:5] <= 1).all() for rows in target for row in rows)


def test_size_must_suit_the_strides(voc):
    with pytest.raises(ValueError, match="^size must be a positive multiple of 32, not 100$"):
        load("voc", size=100)
