"""Where points and boxes of a picture are after its EXIF orientation was applied and its size changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainworthy_audit import dihedral

if TYPE_CHECKING:
    from numpy.typing import NDArray

Size = tuple[float, float]


def moved_points(points: NDArray[np.float64], turn: int, before: Size, after: Size) -> NDArray[np.float64]:
    """(N, 2) points of a picture of size `before`, as stored -> where EXIF `turn` (1..8) and resizing put them."""
    upright = dihedral.from_exif(turn)
    return dihedral.turn_points(points, upright, *before) * after / dihedral.turn_size(upright, *before)


def moved_boxes(boxes: NDArray[np.float64], turn: int, before: Size, after: Size) -> NDArray[np.float64]:
    """(N, 4) boxes x1, y1, x2, y2, as `moved_points`."""
    upright = dihedral.from_exif(turn)
    shown = dihedral.turn_size(upright, *before)
    moved: NDArray[np.float64] = (
        dihedral.turn_boxes(boxes, upright, *before) * np.tile(after, 2) / np.tile(shown, 2)
    )
    return moved
