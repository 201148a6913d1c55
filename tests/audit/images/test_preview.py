"""Previews show people the image as it is stored."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from support.image_files import CLEAN, exif, jpeg
from support.pictures import encode, photo
from trainworthy_audit.images.measurement import measure
from trainworthy_audit.images.preview import make_preview


def opened(data: bytes, side: int) -> tuple[Image.Image, float]:
    preview = make_preview(data, side)
    image = Image.open(io.BytesIO(preview.jpeg))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (preview.width, preview.height))
    return image, preview.scale


@pytest.mark.parametrize("kind", CLEAN)
def test_preview_of_every_kind_of_file(kind: str) -> None:
    """Every readable file becomes an RGB JPEG within the size asked for, never enlarged."""
    data = CLEAN[kind]()
    image, scale = opened(data, 200)
    width = measure(data).width or 0
    assert max(image.size) <= 200
    assert scale <= 1
    assert scale == pytest.approx(image.width / width)


def test_preview_shows_the_pixels_as_stored() -> None:
    """An EXIF orientation is not applied: boxes are in stored coordinates."""
    image, scale = opened(jpeg(exif=exif(6)), 240)
    assert image.size == (240, 180)
    assert scale == 0.5


def test_preview_keeps_its_colours() -> None:
    """The preview looks like the image."""
    image, _ = opened(encode(photo(0), "png"), 120)
    wanted = np.asarray(photo(0).resize((120, 90), Image.Resampling.BOX)).astype(float)
    assert np.abs(np.asarray(image) - wanted).mean() < 8


def test_transparent_areas_are_white() -> None:
    """What is transparent is shown as a page would show it."""
    clear = Image.new("RGBA", (50, 50), (255, 0, 0, 0))
    image, _ = opened(encode(clear, "png"), 50)
    assert np.asarray(image).min() > 250


def test_damaged_image_has_a_preview() -> None:
    """What can be decoded of a damaged image is shown."""
    image, _ = opened(jpeg()[:-20_000], 240)
    top = np.asarray(photo(0).resize((240, 180), Image.Resampling.BOX)).astype(float)[:60]
    assert np.abs(np.asarray(image)[:60] - top).mean() < 8


@pytest.mark.parametrize("data", [b"", b"<html>"])
def test_no_preview_of_what_is_no_image(data: bytes) -> None:
    """Bytes that are no image have no preview, and the error says what they are."""
    with pytest.raises(ValueError, match=r"empty file|not an image: begins with '<html>'"):
        make_preview(data, 100)
