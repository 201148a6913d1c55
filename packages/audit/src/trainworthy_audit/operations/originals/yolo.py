"""The polygons of YOLO's rows again, of which the columns hold the boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainworthy_audit.formats.shared.fractions import PIXELS_FROM
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from trainworthy_audit.source import Source


def read_rows(source: Source, path: str) -> list[str]:
    """The rows of a label file that was read before."""
    return decode_text(source.read(path)).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def polygon(row: str, size: tuple[float, float]) -> list[float] | None:
    """[x, y, x, y, ...] in pixels of an image of this size; None where the row holds no numbers."""
    try:
        values = np.array([float(word) for word in row.split()[1:]])
    except ValueError:
        return None
    if values.size % 2:
        return None
    in_pixels = np.abs(values).max(initial=0) > PIXELS_FROM
    scaled = values.reshape(-1, 2) * ((1, 1) if in_pixels else size)
    return [float(value) for value in scaled.ravel()]
