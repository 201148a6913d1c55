"""Points, boxes, keypoints and masks are where the written image shows them."""

from __future__ import annotations

import io
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainworthy_audit.operations.placement import Placement
from trainworthy_audit.operations.resize.pixels import resized

SIZE = (100, 60)
#: A red box on grey, edges in pixels of the image as stored.
RED = (20, 10, 50, 24)

orientations = st.integers(1, 8)
sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


def upright(orientation: int, width: int, height: int) -> tuple[int, int]:
    return (height, width) if orientation >= 5 else (width, height)


def written(image: Image.Image, placement: Placement) -> Image.Image:
    """The image as `trainworthy resize` writes it."""
    png = io.BytesIO()
    image.save(png, "PNG")
    return Image.open(io.BytesIO(resized(png.getvalue(), placement.orientation, placement.after)))


def red(image: Image.Image) -> tuple[int, ...]:
    """The edges of what is red."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    ys, xs = np.nonzero((pixels[:, :, 0] > 190) & (pixels[:, :, 1] < 70))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_points_turn_as_images_do(orientation: int) -> None:
    """The red box is where the red is in the written image; its corners lead to the same place."""
    image = Image.new("RGB", SIZE, "grey")
    image.paste((255, 0, 0), RED)
    placement = Placement(orientation, SIZE, upright(orientation, *SIZE))
    edges = red(written(image, placement))
    assert tuple(placement.boxes(np.array([RED], dtype=float))[0]) == edges
    corners = placement.points(np.array([RED[:2], RED[2:]], dtype=float))
    assert (*corners.min(axis=0), *corners.max(axis=0)) == edges


@given(orientation=orientations, before=sizes, after=sizes)
def test_the_whole_image_is_the_whole_image(
    orientation: int, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Turned and resized, the corners of the one are the corners of the other."""
    box = Placement(orientation, before, after).boxes(np.array([[0.0, 0.0, *before]]))[0]
    assert box == pytest.approx((0, 0, *after), abs=1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_keypoints_stay_on_their_pixel(orientation: int) -> None:
    """COCO counts the pixels of keypoints from 0: the pixel at (x, y) is the one that the written image has there."""
    image = Image.new("L", SIZE)
    image.putpixel((31, 7), 255)
    placement = Placement(orientation, SIZE, upright(orientation, *SIZE))
    x, y = placement.pixels(np.array([[31.0, 7.0]]))[0]
    assert written(image, placement).getpixel((int(x), int(y))) == 255


@given(
    orientation=orientations,
    before=sizes,
    after=sizes,
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_masks_turn_and_shrink_as_images_do(
    orientation: int, before: tuple[int, int], after: tuple[int, int], seed: int, share: float
) -> None:
    """Each pixel of the new mask is the one of the old mask in which its middle lies."""
    width, height = before
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    turned = Placement(orientation, before, upright(orientation, *before)).mask(mask)
    methods = [None, None, 0, 3, 1, 5, 4, 6, 2]  # Pillow's transpositions by EXIF orientation
    method = methods[orientation]
    image = Image.fromarray(mask)
    expected = np.asarray(image if method is None else image.transpose(Image.Transpose(method)))
    assert np.array_equal(turned, expected)

    def middle(new: int, old: int) -> list[int]:
        return [math.floor(Fraction(2 * index + 1, 2 * new) * old) for index in range(new)]

    rows, columns = middle(after[1], turned.shape[0]), middle(after[0], turned.shape[1])
    placed = Placement(orientation, before, after).mask(mask)
    assert np.array_equal(placed, expected[np.ix_(rows, columns)])


def test_nothing_moves_where_no_size_is_known() -> None:
    """An image whose size nothing says keeps its boxes and points as they are."""
    placement = Placement(1, (None, None), (None, None))  # type: ignore[arg-type]
    assert placement.unchanged
    points = np.array([[1.0, 2.0]])
    assert placement.points(points) is points
