"""What is wrong with the polygons, oriented boxes and keypoints that boxes were read from: `types.SHAPE_FLAWS`.

The columns of a `Dataset` hold boxes only, so geometry is looked at while it is read, many shapes of one size at once.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.formats.shared.outlines import crossings, is_parallelogram
from trainworthy_audit.types import SHAPE_FLAWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainworthy_audit.formats.shared.outlines import Floats

#: Polygons of more points are not tested for crossing themselves: the time grows with the square of it.
MAX_POINTS = 256

#: So many numbers of shapes are kept before they are looked at: bounds the memory that it takes.
BATCH = 2**18


class ShapeFlaws:
    """Collects the shapes of boxes, numbered by `row`, and what is wrong with them.

    Coordinates are shares of the image's sides, or pixels. `rounding` is by how much the corners of oriented boxes may
    be rounded, in that unit; by default it is taken for that of shares.
    """

    def __init__(self, rounding: float | None = None) -> None:
        self._rounding = rounding
        self._numbers: dict[tuple[str, int, int], array[float]] = {}
        self._rows: dict[tuple[str, int, int], array[int]] = {}
        self._waiting = 0
        self._found: list[pl.DataFrame] = []

    def add(self, kind: str, row: int, values: Sequence[float], width: int = 2) -> None:
        """Note a shape: "polygon" and "oriented" of x y pairs, "keypoints" of cx cy w h and points of `width`."""
        key = (kind, len(values), width)
        if key not in self._numbers:
            self._numbers[key], self._rows[key] = array("d"), array("q")
        self._numbers[key].extend(values)
        self._rows[key].append(row)
        self._waiting += len(values)
        if self._waiting > BATCH:
            self._flush()

    def frame(self) -> pl.DataFrame:
        """`SHAPE_FLAWS`, by row."""
        self._flush()
        if not self._found:
            return pl.DataFrame(schema=SHAPE_FLAWS)
        return pl.concat(self._found).cast(SHAPE_FLAWS).sort("row", "flaw", maintain_order=True)

    def _flush(self) -> None:
        for (kind, count, width), numbers in self._numbers.items():
            values = np.frombuffer(numbers, dtype=np.float64).reshape(-1, count)
            rows = np.frombuffer(self._rows[kind, count, width], dtype=np.int64)
            finite = np.isfinite(values).all(axis=1)
            for flaw, at, measured in _flaws(kind, values[finite], width, self._rounding):
                self._found.append(_frame(rows[finite][at], flaw, measured))
        self._numbers, self._rows, self._waiting = {}, {}, 0


def _frame(rows: np.ndarray[Any, np.dtype[np.int64]], flaw: str, measured: Floats) -> pl.DataFrame:
    return pl.DataFrame({"row": rows, "flaw": pl.repeat(flaw, len(rows), eager=True), "measured": measured})


def _flaws(
    kind: str, values: Floats, width: int, rounding: float | None
) -> Iterable[tuple[str, Any, Floats]]:
    """(flaw, which of the shapes have it, how much) of shapes of one kind and size."""
    if not len(values):
        return
    if kind == "keypoints":
        yield from _keypoint_flaws(values, width)
        return
    points = values.reshape(len(values), -1, 2)
    if kind == "oriented":
        bad = np.flatnonzero(~is_parallelogram(points, rounding))
        yield "not-a-rectangle", bad, np.full(len(bad), np.nan)
    elif 4 <= points.shape[1] <= MAX_POINTS:
        crossed = crossings(points)
        at = np.flatnonzero(crossed)
        yield "crosses-itself", at, crossed[at].astype(np.float64)


def _keypoint_flaws(values: Floats, width: int) -> Iterable[tuple[str, Any, Floats]]:
    centre, size = values[:, None, :2], np.abs(values[:, None, 2:4])
    points = values[:, 4:].reshape(len(values), -1, width)
    place = points[:, :, :2]
    there = (place != 0).any(axis=2)
    if width == 3:
        visibility = points[:, :, 2]
        wrong = ~np.isin(visibility, (0, 1, 2))
        at = np.flatnonzero(wrong.any(axis=1))
        yield "visibility", at, visibility[at, wrong[at].argmax(axis=1)]
        there &= visibility != 0
    in_shares = np.abs(values[:, :4]).max(axis=1) <= 2
    beyond_image = np.maximum(-place, place - 1).max(axis=2) * there
    at = np.flatnonzero(in_shares & (beyond_image.max(axis=1) > 1e-3))
    yield "outside-image", at, beyond_image[at].max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond_box = np.nan_to_num((np.abs(place - centre) / size - 0.5).max(axis=2) * there, posinf=0)
    at = np.flatnonzero(beyond_box.max(axis=1) > 0)
    yield "outside-box", at, beyond_box[at].max(axis=1)
