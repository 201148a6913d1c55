"""Previews: small JPEGs of images, for people to look at. Runs in worker processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from trainworthy_audit.images.decode import decode_rgb

QUALITY = 80


class Preview(NamedTuple):
    """A picture of an image, of the pixels as stored: before any EXIF orientation."""

    jpeg: bytes
    width: int  # pixels of the preview
    height: int
    scale: float  # pixels of the preview for each pixel of the image, at most 1


def make_preview(data: bytes, side: int) -> Preview:
    """A preview of at most `side` pixels a side, never enlarged; of a damaged image, of as much as can be decoded.

    Raises `ValueError` where nothing can be decoded.
    """
    pixels, full_width, _ = decode_rgb(data, side)
    image = Image.fromarray(pixels)
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BOX if min(size) < 2 else Image.Resampling.BICUBIC)
    jpeg = simplejpeg.encode_jpeg(np.asarray(image), QUALITY, "RGB", "420")
    return Preview(jpeg, image.width, image.height, image.width / full_width)
