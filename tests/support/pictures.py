"""Pictures for tests: generated photographs, their files, and what can happen to these."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def photo(seed: int, size: tuple[int, int] = (480, 360)) -> Image.Image:
    """Soft shapes under a texture that is strong in some places and weak in others, as in photographs."""
    rng = np.random.default_rng(seed)
    width, height = size
    soft = Image.fromarray(rng.integers(20, 236, (7, 9, 3), dtype=np.uint8))
    strength = Image.fromarray(rng.integers(0, 60, (5, 6), dtype=np.uint8))
    texture = rng.normal(0, 1, (height, width)) * np.asarray(strength.resize(size, Image.Resampling.BICUBIC))
    pixels = np.asarray(soft.resize(size, Image.Resampling.BICUBIC)).astype(float) + texture[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encode(image: Image.Image, format: str = "jpeg", **save: Any) -> bytes:  # noqa: A002 - as Pillow calls it
    """The image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **save)
    return buffer.getvalue()


def overwrite(data: bytes, at: int, replacement: bytes) -> bytes:
    """The same number of bytes, with some of them replaced."""
    return data[:at] + replacement + data[at + len(replacement) :]


def frame_header(jpeg: bytes) -> int:
    """Where the marker stands that is followed by the size of the picture."""
    return next(
        at
        for marker in (b"\xff\xc0\x00\x11", b"\xff\xc2\x00\x11", b"\xff\xc0\x00\x0b")
        if (at := jpeg.find(marker)) > 0
    )


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_header(width: int, height: int) -> bytes:
    """The start of an 8-bit RGB PNG."""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
