"""What is left of a picture inside plain bars, as letterboxing and padding add them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    Grey = np.ndarray[Any, np.dtype[np.uint8]]

#: A line belongs to a bar if its pixels differ by at most so many grey levels, and its mean differs by at most so many
#: from that of the outermost line: compression leaves ripples.
_MAX_SPAN = 12
_MAX_SHIFT = 6

#: Bars that take less of the picture than this are ignored, and so are those that leave less than that of a side.
_MIN_BARS = 0.04
_MIN_CONTENT = 0.3


def may_have_bars(thumbnails: Grey) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n,) whether any outermost line of (n, h, w) pictures is plain."""
    edges = (thumbnails[:, 0], thumbnails[:, -1], thumbnails[:, :, 0], thumbnails[:, :, -1])
    spans = [np.ptp(edge, axis=1) for edge in edges]
    plain: np.ndarray[Any, np.dtype[np.bool_]] = np.min(spans, axis=0) <= _MAX_SPAN
    return plain


def content_box(grey: Grey) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom edge of what bars leave of a grey picture (h, w), in pixels; None without bars."""
    height, width = grey.shape
    top, low = _bars(grey)
    left, right = _bars(grey.T)
    narrow = top + low < _MIN_BARS * height and left + right < _MIN_BARS * width
    box = (left, top, width - right, height - low)
    if narrow or box[2] - box[0] < _MIN_CONTENT * width or box[3] - box[1] < _MIN_CONTENT * height:
        return None
    return box


def _bars(grey: Grey) -> list[int]:
    """How many lines the bars at the beginning and at the end take, with the one line that resizing blended."""
    span = np.ptp(grey, axis=1)
    mean = grey.mean(axis=1)
    bars = []
    for lines, means in ((span, mean), (span[::-1], mean[::-1])):
        inside = np.flatnonzero((lines > _MAX_SPAN) | (np.abs(means - means[0]) > _MAX_SHIFT))
        count = int(inside[0]) if len(inside) else len(lines)
        bars.append(count + 1 if 0 < count < len(lines) else count)
    return bars
