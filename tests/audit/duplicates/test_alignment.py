from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from support.pictures import photo
from trainworthy_audit.duplicates.alignment import SIDE, invert, register, scale_and_offset

BOX = Image.Resampling.BOX


def small(image: Image.Image, box: tuple[float, float, float, float] | None = None) -> np.ndarray[Any, Any]:
    return np.asarray(image.convert("L").resize((SIDE, SIDE), BOX, box))[None]


def guess(scale: float, x: float, y: float) -> np.ndarray[Any, Any]:
    return scale_and_offset(np.array([[scale, scale]], np.float32), np.array([[x, y]], np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_a_rough_guess_becomes_exact(seed: int) -> None:
    """From some pixels off, the crop is laid where it was cut, to a third of a pixel, and all of it agrees."""
    image = photo(seed, (640, 640))
    found = register(small(image, (64, 32, 576, 544)), small(image), guess(0.84, 5, 5))
    corners = np.array([[0, 0, 1], [63, 0, 1], [0, 63, 1], [63, 63, 1]]).T
    expected = 0.8 * corners[:2] + np.array([[6.4 - 0.1], [3.2 - 0.1]])
    assert np.abs(found.affine[0] @ corners - expected).max() < 0.34
    assert found.similarity[0] > 0.97
    assert found.agreeing[0] > 0.95
    assert found.covered[0] > 0.98


def test_contrast_is_measured_whatever_the_brightness() -> None:
    """The gain is the contrast of the first in units of that of the second, at any brightness."""
    image = small(photo(1, (640, 640)))
    weaker = (image * 0.5 + 20).astype(np.uint8)
    found = register(image, weaker, guess(1, 0, 0))
    assert found.gain[0] == pytest.approx(2, rel=0.03)
    assert found.similarity[0] > 0.99


def test_what_lies_under_a_logo_does_not_move_the_rest() -> None:
    """A patch over a tenth of the picture disagrees, and everything else lies as it did."""
    marked = photo(2, (640, 640))
    ImageDraw.Draw(marked).rectangle((20, 20, 220, 220), fill="white")
    found = register(small(marked), small(photo(2, (640, 640))), guess(1, 1.5, -1.5))
    corners = np.array([[0, 0, 1], [63, 0, 1], [0, 63, 1], [63, 63, 1]]).T
    assert np.abs(found.affine[0] @ corners - corners[:2]).max() < 0.75
    assert 0.8 < found.agreeing[0] < 0.95


def test_other_pictures_do_not_agree() -> None:
    """However they are laid, two unrelated pictures have few blocks in common."""
    pictures = [small(photo(seed, (320, 320))) for seed in range(12)]
    found = register(
        np.concatenate(pictures[:6]), np.concatenate(pictures[6:]), np.repeat(guess(1, 0, 0), 6, axis=0)
    )
    assert (found.agreeing < 0.6).all()


def test_the_way_back() -> None:
    """There and back again is where one was."""
    maps = np.array([[[0.8, 0.1, 5], [-0.1, 0.9, -3]]], np.float32)
    there_and_back = invert(maps)[0, :, :2] @ maps[0]
    there_and_back[:, 2] += invert(maps)[0, :, 2]
    assert np.allclose(there_and_back, np.eye(2, 3), atol=1e-5)


def test_hopeless_starts_end_in_numbers() -> None:
    """Flat pictures and maps out of the picture raise nothing, and agree with nothing."""
    flat = np.full((1, SIDE, SIDE), 90, np.uint8)
    for start in (guess(1, 0, 0), guess(0.1, 500, 500)):
        found = register(flat, small(photo(0)), start)
        assert np.isfinite(found.affine).all()
        assert found.similarity[0] < 0.5
