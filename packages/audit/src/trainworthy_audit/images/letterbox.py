"""Where the picture proper begins, when plain bars stand around it, as letterboxing and padding leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Grey = np.ndarray[Any, np.dtype[np.uint8]]

#: A line belongs to a bar if its pixels differ by at most this many grey levels, and its mean is as near to the
#: mean of the outermost line: compression leaves ripples.
_PLAIN = 12
_SAME = 6

#: Bars narrower than this share of the picture are no bars, and what is narrower than the other no picture.
_NARROW = 0.04
_LEFT_OVER = 0.3


def suspected(thumbnails: Grey) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n,) whether any outermost line of (n, h, w) pictures is plain."""
    edges = (thumbnails[:, 0], thumbnails[:, -1], thumbnails[:, :, 0], thumbnails[:, :, -1])
    spans = [np.ptp(edge, axis=1) for edge in edges]
    plain: np.ndarray[Any, np.dtype[np.bool_]] = np.min(spans, axis=0) <= _PLAIN
    return plain


def content(grey: Grey) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom edge of what the bars of a grey picture (h, w) leave; None if it has none."""
    height, width = grey.shape
    top, low = _bars(grey)
    left, right = _bars(grey.T)
    narrow = top + low < _NARROW * height and left + right < _NARROW * width
    box = (left, top, width - right, height - low)
    if narrow or box[2] - box[0] < _LEFT_OVER * width or box[3] - box[1] < _LEFT_OVER * height:
        return None
    return box


def _bars(grey: Grey) -> list[int]:
    """How many lines the bars at the beginning and at the end take, with one that the decoder mixed."""
    span = np.ptp(grey, axis=1)
    mean = grey.mean(axis=1)
    found = []
    for lines, means in ((span, mean), (span[::-1], mean[::-1])):
        inside = np.flatnonzero((lines > _PLAIN) | (np.abs(means - means[0]) > _SAME))
        many = int(inside[0]) if len(inside) else len(lines)
        found.append(many + 1 if 0 < many < len(lines) else many)
    return found
