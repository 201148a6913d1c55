from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainworthy_audit import dihedral
from trainworthy_audit.dihedral import Turn
from trainworthy_train.data.augmentation import NO_AUGMENTATION, Augmentation
from trainworthy_train.data.contact_sheet import contact_sheet
from trainworthy_train.data.images import TrainingImage
from trainworthy_train.data.letterbox import Letterbox
from trainworthy_train.data.transforms import augment, mosaic, visible

SIDE = 96
LABEL = torch.tensor([0])


def painted(box):
    """A grey square on which one box is painted in green."""
    square = torch.full((3, SIDE, SIDE), 114, dtype=torch.uint8)
    x1, y1, x2, y2 = box
    square[:, y1:y2, x1:x2] = torch.tensor([20, 240, 20], dtype=torch.uint8)[:, None, None]
    return square, torch.tensor([box], dtype=torch.float32), LABEL


def extent(square):
    """The box around what is green, None where nothing is."""
    green = (square[1].int() - square[0].int()) > 60
    if not green.any():
        return None
    rows, columns = green.any(1).nonzero(), green.any(0).nonzero()
    return [columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1]


boxes = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(16, 36), st.integers(16, 36)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
EACH = {
    "hflip": dataclasses.replace(NO_AUGMENTATION, hflip=1),
    "vflip": dataclasses.replace(NO_AUGMENTATION, vflip=1),
    "scale": dataclasses.replace(NO_AUGMENTATION, scale_p=1, scale=0.5),
    "everything but rotation": Augmentation(
        hflip=0.5, vflip=0.5, scale_p=1, brightness=0.2, blur=0, degrees_p=0
    ),
}


@pytest.mark.parametrize("name", EACH)
@settings(deadline=None, max_examples=40)
@given(box=boxes, seed=st.integers(0, 2**31))
def test_a_box_stays_on_its_object(name, box, seed):
    """Whatever is done, the box is that of what was painted, to two pixels, or both are gone but for a sliver."""
    torch.manual_seed(seed)
    square, places, labels = augment(*painted(box), EACH[name])
    seen = extent(square)
    assert len(places) == len(labels)
    if len(places):
        assert seen is not None
        assert torch.tensor(seen).sub(places[0]).abs().max() <= 2
    elif seen:
        whole = (box[2] - box[0]) * (box[3] - box[1]) / 4  # at the smallest scale
        assert (seen[2] - seen[0]) * (seen[3] - seen[1]) < 4 * whole


@pytest.mark.parametrize(("name", "turn"), [("hflip", Turn.FLIP_LEFT_RIGHT), ("vflip", Turn.FLIP_TOP_BOTTOM)])
def test_flips_are_those_of_the_audit(name, turn):
    """torchvision's flips move pixels and boxes exactly as the audit's own arithmetic does."""
    square, places, _ = painted((10, 20, 40, 70))
    flipped, moved, _ = augment(square, places, LABEL, EACH[name])
    assert np.array_equal(flipped, dihedral.turn_array(square.numpy(), turn, axes=(1, 2)))
    assert np.array_equal(moved, dihedral.turn_boxes(places.numpy(), turn, SIDE, SIDE))


@settings(deadline=None, max_examples=40)
@given(box=boxes, seed=st.integers(0, 2**31))
def test_a_box_holds_its_turned_object(box, seed):
    """After turning, what was painted lies within the box, which is as tight as a box around a turned box can be."""
    torch.manual_seed(seed)
    square, places, _ = augment(*painted(box), dataclasses.replace(NO_AUGMENTATION, degrees_p=1, degrees=10))
    seen = extent(square)
    if len(places) and seen:
        assert torch.tensor(seen).sub(places[0]).abs().max() <= 2.5


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31))
def test_boxes_end_within_the_square(seed):
    """Boxes are clipped to the square, keep a quarter of their area or more, and two pixels a side."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(20, 2, generator=generator) * SIDE
    given_boxes = torch.cat(
        [corner, (corner + torch.rand(20, 2, generator=generator) * 40).clamp(max=SIDE)], 1
    )
    torch.manual_seed(seed)
    chances = Augmentation(scale_p=1, degrees_p=1, degrees=20, vflip=0.5, scale=0.7)
    _, places, labels = augment(
        torch.zeros(3, SIDE, SIDE, dtype=torch.uint8), given_boxes, torch.arange(20), chances
    )
    assert len(places) == len(labels) <= 20
    assert ((places >= 0) & (places <= SIDE)).all()
    assert (places[:, 2:] - places[:, :2] >= 2).all()


def test_slivers_go():
    """A box of which a quarter is left stays; one with less, or with a side under two pixels, goes."""
    found = torch.tensor([[-30.0, 0, 10, 40], [-31, 0, 10, 40], [10, 10, 11.5, 50], [5, 5, 25, 25]])
    assert visible(found, SIDE).tolist() == [True, False, False, True]


def test_images_without_boxes_stay_without():
    """An image without objects can be augmented."""
    torch.manual_seed(0)
    everything = Augmentation(
        hflip=1, vflip=1, scale_p=1, scale=0.5, brightness=0.5, blur=1, degrees_p=1, degrees=10
    )
    square, places, labels = augment(
        torch.zeros(3, SIDE, SIDE, dtype=torch.uint8),
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.int64),
        everything,
    )
    assert square.shape == (3, SIDE, SIDE)
    assert places.shape == (0, 4)
    assert labels.shape == (0,)


def test_nothing_asked_for_is_nothing_done():
    """Without any augmentation the square and its boxes stay as they are."""
    square, places, labels = painted((10, 20, 40, 60))
    found = augment(square, places, labels, NO_AUGMENTATION)
    assert all(torch.equal(one, other) for one, other in zip(found, (square, places, labels), strict=True))


def test_brightness_leaves_boxes_alone():
    """Colours change, boxes do not, and nothing is drawn that would make them."""
    torch.manual_seed(3)
    square, places, _ = augment(
        *painted((10, 20, 40, 60)), dataclasses.replace(NO_AUGMENTATION, brightness=0.5)
    )
    assert places.tolist() == [[10, 20, 40, 60]]
    assert not torch.equal(square, painted((10, 20, 40, 60))[0])


def test_a_mosaic_keeps_boxes_on_their_objects():
    """Four painted squares in one: each quarter's box is that of what is painted there."""
    parts = [painted(box) for box in [(0, 0, 40, 40), (40, 40, 80, 80), (20, 30, 60, 90), (50, 0, 96, 40)]]
    square, places, labels = mosaic(parts)
    assert square.shape == (3, SIDE, SIDE)
    assert len(places) == len(labels) == 4
    for number, place in enumerate(places):
        alone = torch.full_like(square, 114)
        half, left, top = SIDE // 2, SIDE // 2 * (number % 2), SIDE // 2 * (number // 2)
        alone[:, top : top + half, left : left + half] = square[:, top : top + half, left : left + half]
        assert torch.tensor(extent(alone)).sub(place).abs().max() <= 1


def test_a_contact_sheet_shows_every_square():
    """Two images and three augmentations each: a sheet of eight pictures, with their boxes drawn."""
    square, places, labels = painted((20, 30, 60, 80))
    one = TrainingImage(square, places, labels, Letterbox(1, 1, 0, 0, SIDE, SIDE))
    sheet = contact_sheet([[one] * 4] * 2, ["thing"])
    assert sheet.size == (4 * (SIDE + 4) + 4, 2 * (SIDE + 4) + 4)
    assert sheet.getpixel((4 + 3 * (SIDE + 4) + 20, 4 + (SIDE + 4) + 60)) == (230, 159, 0)
