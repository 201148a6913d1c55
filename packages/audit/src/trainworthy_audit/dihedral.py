"""The eight flips and turns of a picture (the dihedral group D4), on pixels, points, boxes, maps and DCT coefficients.

A turn is a number, so that a million of them are one array. Each one transposes or not, then mirrors left to right or
not, then flips top to bottom or not; they are numbered as the eight hashes of an image are (`types.PIXELS`).

Coordinates are those of `types`: x to the right, y down, edges of pixels. Where the middles of pixels are whole numbers
instead, the last one is at `width - 1`: give that as the width.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Turns = NDArray[np.int64]
    Array = TypeVar("Array", bound=np.ndarray[Any, Any])
    Float = TypeVar("Float", bound=np.floating[Any])
    Side = TypeVar("Side", int, float)


class Turn(IntEnum):
    """What is done to a picture, in Pillow's names: rotations are counter-clockwise."""

    IDENTITY = 0
    FLIP_LEFT_RIGHT = 1
    FLIP_TOP_BOTTOM = 2
    ROTATE_180 = 3
    TRANSPOSE = 4
    ROTATE_90 = 5
    ROTATE_270 = 6
    TRANSVERSE = 7


#: What was done, for people, by number. These are relations of `types.PAIRS` too.
NAMES = (
    "as is", "mirrored", "upside down", "rotated 180", "transposed", "rotated 90", "rotated 270",
    "anti-transposed",
)  # fmt: skip

#: By number: whether a turn exchanges x and y, and whether left and right, top and bottom are exchanged after that.
TRANSPOSES = np.array([0, 0, 0, 0, 1, 1, 1, 1], bool)
MIRRORS = np.array([0, 1, 0, 1, 0, 0, 1, 1], bool)
FLIPS = np.array([0, 0, 1, 1, 0, 1, 0, 1], bool)

#: The turn that shows a picture upright, by its EXIF orientation less one.
_FROM_EXIF = (
    Turn.IDENTITY, Turn.FLIP_LEFT_RIGHT, Turn.ROTATE_180, Turn.FLIP_TOP_BOTTOM,
    Turn.TRANSPOSE, Turn.ROTATE_270, Turn.TRANSVERSE, Turn.ROTATE_90,
)  # fmt: skip

#: EXIF orientations that exchange width and height.
EXIF_TRANSPOSES = (5, 6, 7, 8)


# ---------------------------------------------------------------------------------------------------------------------
# The group


def _composed() -> Turns:
    """[first, then] -> the turn that does both: transposing makes a flip that came before it one of the other axis."""
    first, then = np.arange(8)[:, None], np.arange(8)[None, :]
    transposes = TRANSPOSES[first] ^ TRANSPOSES[then]
    mirrors = np.where(TRANSPOSES[then], FLIPS[first], MIRRORS[first]) ^ MIRRORS[then]
    flips = np.where(TRANSPOSES[then], MIRRORS[first], FLIPS[first]) ^ FLIPS[then]
    number = np.zeros((2, 2, 2), np.int64)
    number[TRANSPOSES.astype(int), MIRRORS.astype(int), FLIPS.astype(int)] = np.arange(8)
    composed: Turns = number[transposes.astype(int), mirrors.astype(int), flips.astype(int)]
    return composed


_COMPOSED = _composed()
_INVERSE = np.argmin(_COMPOSED, axis=1)


@overload
def compose(first: int, then: int) -> Turn: ...
@overload
def compose(first: Turns, then: Turns) -> Turns: ...
def compose(first: int | Turns, then: int | Turns) -> Turn | Turns:
    """The turn that does what `first` and `then` do one after the other; of two arrays, row by row."""
    found: Any = _COMPOSED[first, then]
    return found if found.ndim else Turn(int(found))


@overload
def inverse(turn: int) -> Turn: ...
@overload
def inverse(turn: Turns) -> Turns: ...
def inverse(turn: int | Turns) -> Turn | Turns:
    """The turn that undoes this one; of an array, row by row."""
    found: Any = _INVERSE[turn]
    return found if found.ndim else Turn(int(found))


def from_exif(orientation: int | None) -> Turn:
    """What shows a picture upright that is stored with this EXIF orientation: nothing, unless that is 2 to 8."""
    return _FROM_EXIF[orientation - 1] if orientation and 1 <= orientation <= 8 else Turn.IDENTITY


def to_exif(turn: int) -> int:
    """The EXIF orientation, 1..8, that has viewers apply this turn."""
    return _FROM_EXIF.index(Turn(turn)) + 1


# ---------------------------------------------------------------------------------------------------------------------
# What it is applied to


def turn_size(turn: int, width: Side, height: Side) -> tuple[Side, Side]:
    """(width, height) of a picture of this size once it is turned."""
    return (height, width) if TRANSPOSES[turn] else (width, height)


def turn_array(pixels: Array, turn: int, axes: tuple[int, int] = (0, 1)) -> Array:
    """A view of the pixels of a picture, turned; `axes` are those of its rows and of its columns."""
    rows, columns = axes
    turned: Any = pixels.swapaxes(rows, columns) if TRANSPOSES[turn] else pixels
    flipped = tuple(axis for axis, flips in ((rows, FLIPS[turn]), (columns, MIRRORS[turn])) if flips)
    view: Array = np.flip(turned, flipped)
    return view


def turn_image(image: Image, turn: int) -> Image:
    """The same, of a picture of Pillow's, in its own mode."""
    from PIL.Image import Transpose

    return image if turn == Turn.IDENTITY else image.transpose(Transpose[Turn(turn).name])


def turn_points(
    points: NDArray[Float], turn: int | Turns, width: float = 1.0, height: float = 1.0
) -> NDArray[Float]:
    """(n, 2) points x, y of a picture of this size -> where they are once it is turned.

    `turn` is one for all points, or (n,). Without a size the points are shares of the sides.
    """
    transposes = TRANSPOSES[turn]
    x, y = np.where(transposes, points.T[::-1], points.T)
    right, bottom = np.where(transposes, [[height], [width]], [[width], [height]]).astype(points.dtype)
    return np.stack([np.where(MIRRORS[turn], right - x, x), np.where(FLIPS[turn], bottom - y, y)], axis=1)


def turn_boxes(
    boxes: NDArray[Float], turn: int | Turns, width: float = 1.0, height: float = 1.0
) -> NDArray[Float]:
    """(n, 4) boxes x1, y1, x2, y2, as `turn_points` their corners: what was x1 <= x2 stays so."""
    corners = [turn_points(boxes[:, at : at + 2], turn, width, height) for at in (0, 2)]
    exchanged = np.stack(np.broadcast_arrays(MIRRORS[turn], FLIPS[turn]), axis=-1)
    low, high = np.where(exchanged, corners[::-1], corners)
    return np.concatenate([low, high], axis=1)


def affine(turn: int, width: float = 1.0, height: float = 1.0) -> NDArray[np.float64]:
    """The (2, 3) map from x, y, 1 in a picture of this size to x, y once it is turned."""
    origin, right, below = turn_points(np.array([[0.0, 0], [1, 0], [0, 1]]), turn, width, height)
    return np.stack([right - origin, below - origin, origin], axis=1)


def turn_coefficients(coefficients: NDArray[Float], turn: int | Turns) -> NDArray[Float]:
    """(..., k, k) lowest coefficients of pictures' DCT-II, [down, across] -> those of the turned pictures.

    `turn` is one for all, or an array that is broadcast against the leading axes. To mirror a picture negates its odd
    columns, to flip it its odd rows, and to transpose it transposes them.
    """
    signs = np.where(np.arange(coefficients.shape[-1]) % 2, -1, 1).astype(coefficients.dtype)
    across, down = (np.where(turns[turn][..., None], signs, 1) for turns in (MIRRORS, FLIPS))
    transposes = TRANSPOSES[turn][..., None, None]
    turned: NDArray[Float] = np.where(transposes, coefficients.swapaxes(-1, -2), coefficients)
    turned *= down[..., :, None] * across[..., None, :]
    return turned
