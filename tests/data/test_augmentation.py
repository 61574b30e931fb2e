"""Random changes to images."""

import torch

from adagp.data.augmentation import crop_box, flipped, shifted


def test_shifted_images_are_crops_of_padded_ones():
    images = torch.arange(200 * 2 * 3 * 4).reshape(200, 2, 3, 4)
    moved = shifted(images, 2, torch.Generator().manual_seed(0), fill=-1)
    padded = torch.nn.functional.pad(images, [2] * 4, value=-1)
    seen = set()
    for crops, got in zip(padded, moved, strict=True):
        seen |= {(y, x) for y in range(5) for x in range(5) if torch.equal(crops[:, y:y + 3, x:x + 4], got)}
    assert len(seen) == 25


def test_bytes_are_shifted_as_bytes():
    assert shifted(torch.full((2, 1, 4, 4), 255, dtype=torch.uint8), 1, torch.Generator()).dtype == torch.uint8


def test_about_half_of_the_images_are_mirrored():
    images = torch.rand(1000, 1, 2, 3)
    got = flipped(images, torch.Generator().manual_seed(0))
    mirrored = (got == images.flip(-1)).all(-1).all(-1).squeeze()
    assert torch.equal(got[~mirrored], images[~mirrored]) and 430 < mirrored.sum() < 570


def test_crops_have_areas_and_aspects_within_bounds():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([crop_box(320, 240, generator) for _ in range(3000)]).double()
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes >= 0).all() and (boxes[:, 2] <= 320).all() and (boxes[:, 3] <= 240).all()
    area, aspect = width * height / (320 * 240), width / height
    assert 0.075 < area.min() < 0.1 and area.max() > 0.95
    assert 0.73 < aspect.min() < 0.77 and 1.3 < aspect.max() < 1.37
    assert (boxes[:, 0] == 0).any() and (boxes[:, 2] == 320).any()


def test_crop_of_a_very_wide_image_is_central():
    assert crop_box(1000, 9, torch.Generator().manual_seed(0)) == (494, 0, 506, 9)
    assert crop_box(9, 1000, torch.Generator().manual_seed(0)) == (0, 494, 9, 506)
