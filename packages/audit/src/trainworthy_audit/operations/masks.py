"""COCO's run-length encoded masks as pixels, and back: checked by us, decoded and encoded by pycocotools."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from trainworthy_audit.formats.shared.coco_masks import decode_counts, rle_runs
from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.operations.collection import EDGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: A larger mask is not decoded: a few bytes may claim billions of pixels. Twice Pillow's limit for images.
MAX_PIXELS = 2 * 89_478_485


def decode(rle: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(height, width) 0 or 1 of a mask of an image of this `size`, width and height.

    Raises `MalformedError` where the mask is damaged, or is one of an image of another size.
    """
    height, width, runs = rle_runs(rle)
    if (width, height) != size:
        raise MalformedError(f"its size {width} x {height} is not that of the image, {size[0]} x {size[1]}")
    if width * height > MAX_PIXELS:
        raise MalformedError(f"its {width * height:,} pixels are too many to be decoded")
    checked = coco_mask.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy 2 about pycocotools' `__array__`
        return np.asarray(coco_mask.decode(checked))


def encode(mask: NDArray[np.uint8], *, compressed: bool) -> dict[str, Any]:
    """The mask as COCO writes it: its counts as text where `compressed`, else as numbers."""
    encoded = coco_mask.encode(np.asfortranarray(mask))
    counts = encoded["counts"].decode("ascii")
    return {"size": list(mask.shape), "counts": counts if compressed else decode_counts(counts)}


def area(rle: Mapping[str, Any]) -> int:
    """How many pixels a mask has. Raises `MalformedError` where it is damaged."""
    return int(rle_runs(rle)[2][1::2].sum())


def clip(mask: NDArray[np.uint8], row: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The mask without the pixels that lie wholly outside of the box of `row`."""
    height, width = mask.shape
    left, top, right, bottom = np.clip([row[edge] for edge in EDGES], 0, [width, height] * 2)
    inside = np.s_[int(top) : math.ceil(bottom), int(left) : math.ceil(right)]
    clipped = np.zeros_like(mask)
    clipped[inside] = mask[inside]
    return clipped
