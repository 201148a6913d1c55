"""Points of a picture after its EXIF orientation was applied and its size changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Orientations that exchange width and height.
SIDEWAYS = frozenset({5, 6, 7, 8})


def turned(points: NDArray[np.float64], turn: int, width: float, height: float) -> NDArray[np.float64]:
    """(N, 2) points x, y of a picture of this size, as stored, where EXIF orientation `turn` (1..8) shows them."""
    x, y = points[:, 0], points[:, 1]
    ways = {
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (height - y, x),
        7: (height - y, width - x),
        8: (y, width - x),
    }
    return np.stack(ways.get(turn, (x, y)), axis=1)


def flips(turn: int) -> tuple[bool, bool]:
    """Whether low and high edges of a box change places, in x and in y of the picture as shown."""
    return turn in {2, 3, 6, 7}, turn in {3, 4, 7, 8}


def size_after(turn: int, width: int, height: int) -> tuple[int, int]:
    """(width, height) as shown."""
    return (height, width) if turn in SIDEWAYS else (width, height)


def moved(
    points: NDArray[np.float64], turn: int, before: tuple[float, float], after: tuple[float, float]
) -> NDArray[np.float64]:
    """(N, 2) points after a picture of size `before`, as stored, was turned and resized to `after`."""
    width, height = before[::-1] if turn in SIDEWAYS else before
    return turned(points, turn, *before) * after / (width, height)
