"""Which task the rows of YOLO label files are made for: boxes, polygons, oriented boxes, or poses.

A row says nothing of its task: nine numbers may be a polygon of four corners, an oriented box, or a box with two
keypoints. `kpt_shape` of the data.yaml decides where it stands; else what most rows of a sample look like.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from trainworthy_audit.formats.shared.outlines import ROUNDING, crossings, is_parallelogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_audit.formats.shared.outlines import Marks

    Rows = np.ndarray[Any, np.dtype[np.float64]]

#: A row of the class and this many numbers is a box.
BOX = 4

#: A row of the class and this many numbers may be an oriented box: the x and y of four corners.
CORNERS = 8

#: What most rows look like, all are taken for: exporters write one kind; a few rows may be damaged.
MOST = 0.95

#: Corners of rectangles that annotators drew by hand, or that were cut at the image's edge, are not exact.
MOST_RECTANGLES = 0.5

#: A point may lie outside its box by this share of the box's side, and still count as inside.
MARGIN = 0.1

#: Fewer rows than this may look like poses by chance, where no number of them is a visibility.
ENOUGH_ROWS = 3

#: Of polygons, the second point lies near the others in all; of poses, the box's size does so by chance.
MOST_OUTLINES = 0.8

#: Of polygons that people or tools drew, fewer cross themselves; points in no order around do so more often.
CROSSED_BY_CHANCE = 0.2

#: With fewer keypoints than three, rows of polygons with as many numbers look like poses more often.
ENOUGH_ROWS_OF_FEW_POINTS = 10


class Task(NamedTuple):
    """What the rows hold."""

    kind: Literal["boxes", "polygons", "oriented", "keypoints"]
    points: int = 0  # keypoints a row
    numbers: int = 0  # of each keypoint: 2 (x y) or 3 (x y visibility)
    declared: bool = False  # by `kpt_shape`

    @property
    def width(self) -> int:
        """How many numbers a row of a pose holds behind its class."""
        return BOX + self.points * self.numbers


def declared(kpt_shape: tuple[int, int]) -> Task:
    """The task of a data.yaml with this `kpt_shape`."""
    return Task("keypoints", *kpt_shape, declared=True)


def infer(rows: Sequence[Sequence[float]]) -> Task:
    """The task that these rows, the numbers behind their classes, look made for."""
    counts = Counter(len(row) for row in rows if len(row) > BOX + 1)
    if not counts:
        return Task("boxes")
    ((count, times),) = counts.most_common(1)
    if times < MOST * counts.total():
        return Task("polygons")
    values = np.array([row for row in rows if len(row) == count], dtype=np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        return Task("polygons")
    has_boxes = times < MOST * len(rows)
    if count == CORNERS and not has_boxes and _are_oriented(values):
        return Task("oriented")
    return _pose(values) or Task("polygons")


def _are_oriented(rows: Rows) -> bool:
    """Whether most rows are parallelograms, as turned rectangles are in shares of the sides, and some are turned."""
    corners = rows.reshape(-1, 4, 2)
    fit = is_parallelogram(corners)
    return bool(fit.mean() >= MOST_RECTANGLES and (fit & ~_is_upright(corners)).any())


def _is_upright(corners: Rows) -> Marks:
    """(N,) whether the sides run along the image's."""
    sides = np.abs(corners - np.roll(corners, 1, axis=1))
    return np.asarray(sides.min(axis=2).max(axis=1) <= ROUNDING)


def _pose(rows: Rows) -> Task | None:
    """The pose that the rows look like: a box, and points in it."""
    for numbers in (3, 2):
        points, rest = divmod(rows.shape[1] - BOX, numbers)
        if rest or not points:
            continue
        enough = ENOUGH_ROWS if numbers == 3 or points >= 3 else ENOUGH_ROWS_OF_FEW_POINTS
        if len(rows) < enough or _looks_like_pose(rows, numbers).mean() < MOST:
            continue
        if numbers == 3 or not _look_like_polygons(rows):
            return Task("keypoints", points, numbers)
    return None


def _looks_like_pose(rows: Rows, numbers: int) -> Marks:
    """(N,) whether a row's first four numbers are a box in the image, and its points lie in it or are left out."""
    centre, size = np.split(rows[:, None, :BOX], 2, axis=2)
    points = rows[:, BOX:].reshape(len(rows), -1, numbers)
    within = np.abs(centre - 0.5) + size / 2 <= 0.5 + MARGIN / 10
    is_box = np.all((size > 0) & within, axis=(1, 2))
    place = points[:, :, :2]
    if numbers == 3:
        return np.asarray(is_box & np.all(np.isin(points[:, :, 2], (0, 1, 2)), axis=1))
    inside = np.all(np.abs(place - centre) <= size * (0.5 + MARGIN), axis=2)
    left_out = np.all(place == 0, axis=2)
    return np.asarray(is_box & np.all(inside | left_out, axis=1) & np.any(inside, axis=1))


def _look_like_polygons(rows: Rows) -> bool:
    """Whether the first two pairs lie where the others are, as points of an outline do, and edges rarely cross.

    Small polygons in the middle of the image look like boxes with points in them: the outline decides.
    """
    points = rows.reshape(len(rows), -1, 2)
    others = np.delete(points, 1, axis=1)
    low, high = others.min(axis=1), others.max(axis=1)
    reach = (high - low).max(axis=1, keepdims=True)
    second = points[:, 1]
    near = ((second >= low - reach) & (second <= high + reach)).all(axis=1)
    if near.mean() < MOST_OUTLINES:
        return False
    return bool((crossings(points) > 0).mean() <= CROSSED_BY_CHANCE)
