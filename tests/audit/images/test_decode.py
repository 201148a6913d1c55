"""Bytes become pixels of any kind of image, within bounds on memory, and errors in words."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from support.image_files import CLEAN
from support.pictures import chunk, png_header
from trainworthy_audit.images import headers
from trainworthy_audit.images.decode import (
    MAX_LUMA,
    MAX_PIXELS,
    decode_rgb,
    jpeg_luma,
    pillow_luma,
    quiet_pillow,
)

RED = Image.new("RGB", (40, 30), (200, 30, 40))
SIXTEEN = Image.fromarray(np.full((30, 40), 0x8000, np.uint16))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(RED, "JPEG", exif=exif, quality=95)


# ------------------------------------------------------------------------------------------------------------
# RGB


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        pytest.param(saved(RED, "JPEG", quality=95), (200, 30, 40), id="JPEG"),
        pytest.param(turned(), (200, 30, 40), id="turned by EXIF"),
        pytest.param(saved(RED.convert("CMYK"), "JPEG", quality=95), (200, 30, 40), id="CMYK"),
        pytest.param(saved(RED.convert("L"), "JPEG", quality=95), (82, 82, 82), id="grey JPEG"),
        pytest.param(saved(RED, "PNG"), (200, 30, 40), id="PNG"),
        pytest.param(saved(RED.convert("P"), "PNG"), None, id="palette"),
        pytest.param(saved(RED.convert("1"), "PNG"), None, id="black and white"),
        pytest.param(saved(SIXTEEN, "PNG"), (128, 128, 128), id="16 bits"),
        pytest.param(
            saved(Image.new("RGBA", (40, 30), (9, 9, 9, 0)), "PNG"), (255, 255, 255), id="transparent"
        ),
        pytest.param(saved(Image.new("LA", (40, 30), (9, 255)), "PNG"), (9, 9, 9), id="grey with alpha"),
        pytest.param(saved(RED, "GIF"), None, id="GIF"),
        pytest.param(saved(RED, "WEBP", lossless=True), (200, 30, 40), id="WebP"),
        pytest.param(saved(RED, "BMP"), (200, 30, 40), id="BMP"),
        pytest.param(saved(RED, "TIFF"), (200, 30, 40), id="TIFF"),
    ],
)
def test_pictures_of_any_kind_are_rgb_as_stored(data: bytes, colour: tuple[int, int, int] | None) -> None:
    """Whatever the mode and format: (H, W, 3) RGB of the stored pixels, neither turned nor transparent."""
    pixels = decode_rgb(data).pixels
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    if colour:
        assert np.abs(pixels.reshape(-1, 3).mean(0) - colour).max() < 4


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_pictures_give_what_they_have(kind: str, share: float) -> None:
    """A picture that was accepted although it is cut off does not stop the training."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    data = saved(noise, kind)
    assert decode_rgb(data[: int(len(data) * share)]).pixels.shape == (60, 80, 3)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"<html>", saved(RED, "PNG")[:20], b"\0" * 100])
def test_what_is_no_picture_is_said(data: bytes) -> None:
    """Bytes without a picture are a `ValueError`, whatever the decoders raise."""
    with pytest.raises(ValueError, match=r".+"):
        decode_rgb(data)


def test_large_jpegs_come_smaller_but_not_too_small() -> None:
    """A JPEG eight times as large as needed is decoded at a fraction, its longer side no shorter than asked for."""
    picture = saved(Image.linear_gradient("L").resize((1600, 1200)).convert("RGB"), "JPEG")
    assert decode_rgb(picture).pixels.shape == (1200, 1600, 3)
    assert decode_rgb(picture, 320).pixels.shape == (300, 400, 3)
    assert decode_rgb(picture, 200).pixels.shape == (150, 200, 3)


@pytest.mark.parametrize("kind", CLEAN)
def test_full_size_is_told_whatever_the_reduction(kind: str) -> None:
    """Width and height are those of the image in full, however small its pixels come."""
    data = CLEAN[kind]()
    whole, reduced = decode_rgb(data), decode_rgb(data, 64)
    assert whole.pixels.shape == (whole.height, whole.width, 3)
    assert (reduced.width, reduced.height) == (whole.width, whole.height)
    assert max(reduced.pixels.shape[:2]) >= min(64, whole.width, whole.height)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_larger_images_than_the_limit_are_refused(kind: str) -> None:
    """A decompression bomb is refused by its header, before anything is decoded."""
    if kind == "png":
        data = png_header(60_000, 60_000) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    else:
        data = bytearray(saved(RED, "JPEG"))
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = b"\xea\x60\xea\x60"
    with pytest.raises(ValueError, match=f"60000 x 60000 pixels are more than the {MAX_PIXELS:,}"):
        decode_rgb(bytes(data))


# ------------------------------------------------------------------------------------------------------------
# Reduced luma


def test_strips_are_bounded() -> None:
    """An image too thin for decoders to reduce is reduced to `MAX_LUMA` pixels all the same, PNG or JPEG."""
    shades = np.linspace(0, 255, 6_000_000, dtype=np.uint8)[None].repeat(3, axis=0)
    png, _ = pillow_luma(saved(Image.fromarray(shades), "PNG"))
    data = saved(Image.fromarray(shades[:1, :65_500].repeat(70, axis=0)), "JPEG")
    header = headers.read_jpeg(data)
    assert isinstance(header, headers.Jpeg)
    for luma in (png, jpeg_luma(data, header)):
        assert not luma.damage
        assert luma.pixels is not None
        assert MAX_LUMA / 2 < luma.pixels.size <= MAX_LUMA
    assert png.pixels is not None
    assert png.pixels.shape[0] == 1
    assert (np.diff(png.pixels[0].astype(int)) >= 0).all()  # still the same picture


# ------------------------------------------------------------------------------------------------------------
# Pillow


def test_pillow_is_left_as_it_was() -> None:
    """Settings of Pillow, which are global, hold within only, and are restored even where decoding fails."""

    def fail() -> None:
        with quiet_pillow(truncated=True):
            within.append((Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES))
            raise RuntimeError

    within: list[tuple[int | None, bool]] = []
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(RuntimeError):
        fail()
    assert within == [(None, True)]
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
