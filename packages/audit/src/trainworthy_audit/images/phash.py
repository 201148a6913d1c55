"""Perceptual hashes: bit for bit those of `imagehash.phash`, of an image and of its seven flips and turns at once."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from trainworthy_audit import dihedral
from trainworthy_audit.images.decode import check_size, quiet_pillow

if TYPE_CHECKING:
    from collections.abc import Sequence

    Grey = np.ndarray[Any, np.dtype[np.uint8]]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

#: Pixels a side that images are brought to, and the first rows of the DCT-II of so many samples, as SciPy scales it.
SIDE = 32
_DCT = 2 * np.cos(np.pi * np.arange(8)[:, None] * (2 * np.arange(SIDE)[None, :] + 1) / (2 * SIDE))


def hash_images(images: Sequence[Image.Image]) -> Hashes:
    """(n, 8) hashes of grey images of any sizes: see `hash_squares`."""
    squares = [image.resize((SIDE, SIDE), Image.Resampling.BILINEAR).tobytes() for image in images]
    return hash_squares(np.frombuffer(b"".join(squares), np.uint8).reshape(-1, SIDE, SIDE))


def hash_squares(squares: Grey) -> Hashes:
    """(n, 32, 32) grey levels -> (n, 8) hashes of 64 bits, of each image and its flips in the order of `dihedral.Turn`.

    A bit is 1 where one of the 64 lowest frequencies is above their median.
    """
    frequencies = _DCT @ squares.astype(np.float64) @ _DCT.T
    turned = dihedral.turn_coefficients(frequencies[:, None], np.arange(8)).reshape(-1, 8, 64)
    middle = np.sort(turned, axis=2)[
        :, :, 31:33
    ]  # of 64 values the median is the mean of the two in the middle
    bits = turned > (middle[:, :, :1] + middle[:, :, 1:]) / 2
    hashes: Hashes = np.packbits(bits, axis=2).view(">u8")[:, :, 0].astype(np.uint64)
    return hashes


def hash_file(data: bytes) -> list[int]:
    """The eight hashes of an image, decoded in full: the first is that of `imagehash.phash`, bit for bit.

    Measuring hashes a reduced luma, which is fast and differs in a few bits. Raises whatever the decoder raises, and
    `ValueError` where the image is larger than `MAX_PIXELS`.
    """
    with quiet_pillow(truncated=False), Image.open(io.BytesIO(data)) as image:
        check_size(image.width, image.height)
        square = image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return [int(value) for value in hash_squares(np.asarray(square)[None])[0]]
