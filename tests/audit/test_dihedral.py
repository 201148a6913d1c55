"""The eight flips and turns are one group, and mean the same on pixels, points, boxes, maps and coefficients."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from trainworthy_audit import dihedral
from trainworthy_audit.dihedral import Turn, compose, inverse

turns = st.sampled_from(Turn)
sides = st.integers(1, 12)

#: What each turn does to a picture whose pixels are numbered row by row, written out by hand.
BY_HAND = {
    Turn.IDENTITY: [[0, 1, 2], [3, 4, 5]],
    Turn.FLIP_LEFT_RIGHT: [[2, 1, 0], [5, 4, 3]],
    Turn.FLIP_TOP_BOTTOM: [[3, 4, 5], [0, 1, 2]],
    Turn.ROTATE_180: [[5, 4, 3], [2, 1, 0]],
    Turn.TRANSPOSE: [[0, 3], [1, 4], [2, 5]],
    Turn.ROTATE_90: [[2, 5], [1, 4], [0, 3]],
    Turn.ROTATE_270: [[3, 0], [4, 1], [5, 2]],
    Turn.TRANSVERSE: [[5, 2], [4, 1], [3, 0]],
}


def numbered(width: int, height: int) -> np.ndarray[Any, Any]:
    return np.arange(width * height, dtype=np.int32).reshape(height, width)


# ------------------------------------------------------------------------------------------------------------
# The group


@settings(deadline=None)
@given(turns, turns, turns)
def test_group_laws(a: Turn, b: Turn, c: Turn) -> None:
    """Composition is associative, has an identity, and each turn has an inverse on both sides."""
    assert compose(compose(a, b), c) == compose(a, compose(b, c))
    assert compose(a, Turn.IDENTITY) == compose(Turn.IDENTITY, a) == a
    assert compose(a, inverse(a)) == compose(inverse(a), a) == Turn.IDENTITY


@settings(deadline=None)
@given(turns, turns, sides, sides)
def test_to_compose_is_to_do_one_after_the_other(first: Turn, then: Turn, width: int, height: int) -> None:
    """The composed turn gives the pixels that the two give one after the other."""
    picture = numbered(width, height)
    one_by_one = dihedral.turn_array(dihedral.turn_array(picture, first), then)
    assert np.array_equal(dihedral.turn_array(picture, compose(first, then)), one_by_one)


def test_arrays_of_turns_compose_row_by_row() -> None:
    """Two arrays compose, and one is inverted, as their elements do."""
    first, then = (each.reshape(-1) for each in np.meshgrid(np.arange(8), np.arange(8)))
    assert compose(first, then).tolist() == [compose(a, b) for a, b in zip(first, then, strict=True)]
    assert inverse(first).tolist() == [inverse(turn) for turn in first]


# ------------------------------------------------------------------------------------------------------------
# Pixels


@pytest.mark.parametrize("turn", Turn)
def test_pixels_by_hand(turn: Turn) -> None:
    """Each turn moves the six pixels of a small picture where its name says."""
    assert dihedral.turn_array(numbered(3, 2), turn).tolist() == BY_HAND[turn]


@pytest.mark.parametrize("turn", Turn)
def test_pixels_of_many_pictures_with_channels(turn: Turn) -> None:
    """Rows and columns may be any two axes: (n, h, w, 3) turns as each channel of each picture does."""
    pictures = np.arange(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    turned = dihedral.turn_array(pictures, turn, axes=(1, 2))
    for number in range(2):
        for channel in range(3):
            assert np.array_equal(
                turned[number, ..., channel], dihedral.turn_array(pictures[number, ..., channel], turn)
            )


@settings(deadline=None)
@given(turns, sides, sides)
def test_pillow_turns_alike(turn: Turn, width: int, height: int) -> None:
    """A picture of Pillow's and the array of its pixels turn alike, and have the size that was foretold."""
    picture = numbered(width, height).astype(np.uint8)
    image = dihedral.turn_image(Image.fromarray(picture), turn)
    assert np.array_equal(np.asarray(image), dihedral.turn_array(picture, turn))
    assert image.size == dihedral.turn_size(turn, width, height)


# ------------------------------------------------------------------------------------------------------------
# Points, boxes and maps


@settings(deadline=None)
@given(turns, sides, sides, st.data())
def test_boxes_hold_the_pixels_that_they_held(turn: Turn, width: int, height: int, data: Any) -> None:
    """The pixels in a turned box of the turned picture are those in the box, turned."""
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    picture = numbered(width, height)
    box = np.array([[left, top, right, bottom]], float)
    ((x1, y1, x2, y2),) = dihedral.turn_boxes(box, turn, width, height).astype(int).tolist()
    inside = dihedral.turn_array(picture, turn)[y1:y2, x1:x2]
    assert np.array_equal(inside, dihedral.turn_array(picture[top:bottom, left:right], turn))


@settings(deadline=None)
@given(turns, sides, sides)
def test_points_follow_their_pixels(turn: Turn, width: int, height: int) -> None:
    """The middle of each pixel is found where the pixel is in the turned picture, in both ways of counting middles."""
    picture = numbered(width, height)
    turned = dihedral.turn_array(picture, turn)
    middles = np.stack([picture.reshape(-1) % width, picture.reshape(-1) // width], axis=1).astype(float)
    for column, row in (
        (dihedral.turn_points(middles + 0.5, turn, width, height) - 0.5).T,
        dihedral.turn_points(middles, turn, width - 1, height - 1).T,
    ):
        assert np.array_equal(turned[row.astype(int), column.astype(int)], picture.reshape(-1))


@settings(deadline=None)
@given(turns, st.lists(st.tuples(*[st.floats(-50, 50, width=32)] * 2), min_size=1), sides, sides)
def test_maps_agree_with_points(turn: Turn, places: list[Any], width: int, height: int) -> None:
    """The affine map takes each point where `turn_points` does, and the inverse turn's map takes it back."""
    points = np.array(places)
    turned = dihedral.turn_points(points, turn, width, height)
    there = dihedral.affine(turn, width, height)
    assert np.allclose(points @ there[:, :2].T + there[:, 2], turned)
    back = dihedral.affine(inverse(turn), *dihedral.turn_size(turn, width, height))
    assert np.allclose(turned @ back[:, :2].T + back[:, 2], points)


@settings(deadline=None)
@given(st.lists(st.tuples(turns, *[st.floats(0, 1)] * 4), min_size=1))
def test_a_turn_for_each_row(rows: list[Any]) -> None:
    """With an array of turns each box, and each point, has its own."""
    some = np.array([turn for turn, *_ in rows])
    boxes = np.array([box for _, *box in rows])
    assert np.array_equal(
        dihedral.turn_boxes(boxes, some, 7, 5),
        np.concatenate(
            [dihedral.turn_boxes(box[None], turn, 7, 5) for box, turn in zip(boxes, some, strict=True)]
        ),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_is_kept(dtype: type[Any]) -> None:
    """Points, boxes and coefficients come back in the precision that they came in."""
    assert dihedral.turn_boxes(np.zeros((1, 4), dtype), Turn.ROTATE_90, 3, 2).dtype == dtype
    assert dihedral.turn_points(np.zeros((1, 2), dtype), np.array([5]), 3, 2).dtype == dtype
    assert dihedral.turn_coefficients(np.zeros((1, 8, 8), dtype), np.array([5])).dtype == dtype


# ------------------------------------------------------------------------------------------------------------
# DCT coefficients


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_coefficients_are_those_of_the_turned_picture(seed: int) -> None:
    """The DCT of a turned picture is, of the same picture, what `turn_coefficients` foretells."""
    pictures = np.random.default_rng(seed).normal(size=(2, 16, 16))
    basis = np.cos(np.pi * np.arange(6)[:, None] * (2 * np.arange(16)[None, :] + 1) / 32)
    coefficients = basis @ pictures @ basis.T
    foretold = dihedral.turn_coefficients(coefficients[:, None], np.arange(8))
    for turn in Turn:
        turned = dihedral.turn_array(pictures, turn, axes=(1, 2))
        assert np.allclose(foretold[:, turn], basis @ turned @ basis.T)
        assert np.array_equal(dihedral.turn_coefficients(coefficients, turn), foretold[:, turn])


# ------------------------------------------------------------------------------------------------------------
# EXIF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_as_pillow_has_it(orientation: int) -> None:
    """A file with an orientation is shown as Pillow's `exif_transpose` shows it; sideways ones exchange their sides."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = io.BytesIO()
    picture = numbered(3, 2).astype(np.uint8)
    Image.fromarray(picture).save(stored, "PNG", exif=exif)
    turn = dihedral.from_exif(orientation)
    with Image.open(stored) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(dihedral.turn_array(picture, turn), shown)
    assert (orientation in dihedral.EXIF_TRANSPOSES) == (shown.shape == (3, 2))
    assert dihedral.to_exif(turn) == orientation


@pytest.mark.parametrize("orientation", [None, 0, 9, -1, 255])
def test_exif_that_says_nothing(orientation: int | None) -> None:
    """No orientation, or one that EXIF does not know, leaves a picture as it is."""
    assert dihedral.from_exif(orientation) is Turn.IDENTITY


# ------------------------------------------------------------------------------------------------------------
# Names


def test_names_for_people() -> None:
    """Each turn has its own name, in the order of the numbers."""
    assert len(set(dihedral.NAMES)) == len(Turn)
    assert dihedral.NAMES[Turn.ROTATE_90] == "rotated 90"
    assert dihedral.NAMES[Turn.TRANSVERSE] == "anti-transposed"
