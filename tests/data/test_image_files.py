"""CIFAR and ImageNet, of what torchvision reads."""

import sys
from types import ModuleType

import pytest
import torch
from PIL import Image
from torchvision_reader import Folder, cifar_part, photograph

from adagp.data import Batches, MissingData, load


def everything(source, **options):
    return next(Batches(source, batch=len(source), shuffle=False, **options).epoch(0))


@pytest.fixture
def cifar(files):
    files.contents = {("data", True): cifar_part(40, 0), ("data", False): cifar_part(10, 1)}
    return files.contents


@pytest.fixture
def imagenet(files):
    classes = ["ant", "bee", "cat"]
    files.contents = {
        "data/imagenet/train": Folder([(photograph(60 + 7 * i, 50, i), i % 3) for i in range(7)], classes),
        "data/imagenet/val": Folder([(photograph(80, 64), 2), (photograph(64, 96).convert("L"), 0)], classes)}
    return files.contents


@pytest.mark.parametrize("name, classes", [("cifar10", 10), ("cifar100", 100)])
def test_cifar_test_images_are_normalised(cifar, name, classes):
    data = load(name)
    assert (len(data.train), len(data.test), data.classes, data.shape) == (40, 10, classes, (3, 32, 32))
    inputs, labels = everything(data.test)
    part = cifar["data", False]
    mean, deviation = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)) if classes == 10 else (
        (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
    for channel in range(3):
        want = (torch.tensor(part.data[..., channel]) / 255 - mean[channel]) / deviation[channel]
        torch.testing.assert_close(inputs[:, channel], want)
    assert labels.tolist() == part.targets


def test_cifar_training_images_are_cropped_from_black_and_mirrored(cifar):
    data = load("cifar10")
    inputs, labels = everything(data.train)
    part = cifar["data", True]
    clean = load("cifar10").test.transform(torch.tensor(part.data).permute(0, 3, 1, 2), torch.Generator())
    black = data.test.transform(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), torch.Generator())
    mirrored = moved = 0
    for image, got in zip(clean, inputs, strict=True):
        padded = black[0].clone()
        padded[:, 4:36, 4:36] = image
        matches = [(y, x, flip) for y in range(9) for x in range(9) for flip in (False, True)
                   if torch.equal(padded[:, y:y + 32, x:x + 32], got.flip(-1) if flip else got)]
        (y, x, flip), = matches
        mirrored, moved = mirrored + flip, moved + ((y, x) != (4, 4))
    assert 8 < mirrored < 32 and moved > 30 and labels.tolist() == part.targets


def test_imagenet_test_images_are_central_squares(imagenet):
    data = load("imagenet", size=32)
    assert (len(data.train), data.classes, data.shape) == (7, 3, (3, 32, 32))
    inputs, labels = everything(data.test)
    red = inputs[0, 0] * 0.229 + 0.485  # rises from 0 to 1 from top to bottom
    assert torch.allclose(red[[0, -1], 16], torch.tensor([1 / 16 + 7 / 8 / 64, 15 / 16 - 7 / 8 / 64]), atol=0.015)
    green = inputs[0, 1] * 0.224 + 0.456  # from left to right, of an image wider than high
    assert torch.allclose(green[16, [0, -1]], torch.tensor([0.5 - 0.35, 0.5 + 0.35]), atol=0.03)
    assert labels.tolist() == [2, 0] and inputs.shape == (2, 3, 32, 32)


@pytest.mark.parametrize("workers", [0, 2])
def test_imagenet_epoch_is_resumed_bit_for_bit(imagenet, workers):
    source = load("imagenet", size=16).train
    whole = list(Batches(source, batch=2).epoch(1))
    tail = list(Batches(source, batch=2, workers=workers).epoch(1, 2))
    assert len(tail) == 2
    for (inputs, labels), (wanted_inputs, wanted_labels) in zip(tail, whole[2:], strict=True):
        assert torch.equal(inputs, wanted_inputs) and torch.equal(labels, wanted_labels)


def test_imagenet_training_images_differ_from_epoch_to_epoch(imagenet):
    batches = Batches(load("imagenet", size=16).train, batch=7, shuffle=False)
    (one, _), = batches.epoch(0)
    (other, _), = batches.epoch(1)
    assert not (one == other).flatten(1).all(1).any()


def test_classes_of_both_folders_must_agree(imagenet):
    imagenet["data/imagenet/val"].classes = ["ant", "dog"]
    with pytest.raises(ValueError, match="^data/imagenet/val must have the 3 classes of data/imagenet/train, not 2 with 1 of"):
        load("imagenet")


@pytest.mark.parametrize("size", [0, -5, 2.5])
def test_bad_size_is_refused(imagenet, size):
    with pytest.raises(ValueError, match=f"^size must be a positive multiple of 1, not {size}$"):
        load("imagenet", size=size)


@pytest.mark.parametrize("name, message", [
    ("cifar10", r"cifar10: put the folder cifar-10-batches-py of the unpacked Python version \(\S+\) into here"),
    ("cifar100", r"cifar100: put the folder cifar-100-python of the unpacked Python version \(\S+\) into here"),
    ("imagenet", r"imagenet: put the images of ILSVRC2012 \(\S+\) into here/imagenet/train/<class>/ and .*"),
    ("voc", r"voc: put the unpacked VOCdevkit/VOC2007 with ImageSets/Main/trainval.txt \(\S+\) into here")])
def test_missing_files_are_named(files, name, message):
    with pytest.raises(MissingData, match=f"^{message}$"):
        load(name, root="here")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "imagenet", "voc"])
def test_missing_torchvision_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingData, match=f"^{name} needs torchvision, which cannot be imported: install .* torch 2[^\n]*$"):
        load(name)


def test_torchvision_of_another_torch_is_missing(monkeypatch):
    class Broken(ModuleType):
        def __getattr__(self, name):
            raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setitem(sys.modules, "torchvision", Broken("torchvision"))
    with pytest.raises(MissingData, match="^cifar10 needs torchvision, which cannot be imported"):
        load("cifar10")


def test_images_need_not_be_coloured(imagenet):
    assert isinstance(imagenet["data/imagenet/val"][1][0], Image.Image)
    grey = everything(load("imagenet", size=8).test)[0][1] * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    grey += torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    torch.testing.assert_close(grey[0], grey[1])
    torch.testing.assert_close(grey[0], grey[2])
