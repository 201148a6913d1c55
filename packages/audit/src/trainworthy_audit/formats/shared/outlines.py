"""Arithmetic on outlines: (N, P, 2) arrays of the x and y of P points each, all in one unit."""

from __future__ import annotations

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
Marks = np.ndarray[Any, np.dtype[np.bool_]]

#: Corners are rounded to four to six digits; in shares of the image.
ROUNDING = 2e-4

#: Edges that cross by less than this share of the polygon's extent touch: annotations are rounded.
CROSSING = 0.01


def is_parallelogram(corners: Floats, rounding: float | None = None) -> Marks:
    """(N,) whether each of (N, 4, 2) corners, in order around, are those of a parallelogram that has an area.

    `rounding` is by how much each coordinate may be rounded, in their unit; by default as `ROUNDING` says.
    """
    off = np.abs(corners[:, 0] - corners[:, 1] + corners[:, 2] - corners[:, 3]).max(axis=1)
    extent = np.ptp(corners, axis=1).max(axis=1)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    rounded = ROUNDING * np.where(extent > 2, extent, 1) if rounding is None else np.float64(rounding)
    limit = np.maximum(4 * rounded, 0.02 * extent)
    return np.asarray((off <= limit) & (area > 0))


def crossings(points: Floats) -> Counts:
    """(N,) how many pairs of edges of each of (N, P, 2) polygons cross clearly."""
    count = points.shape[1]
    first, second = np.triu_indices(count, 2)
    neighbours = (first == 0) & (second == count - 1)
    first, second = first[~neighbours], second[~neighbours]
    total = np.zeros(len(points), dtype=np.int64)
    step = max(1, 2**20 // max(1, len(first)))
    for start in range(0, len(points), step):
        part = points[start : start + step]
        ends = np.roll(part, -1, axis=1)
        limit = CROSSING * np.ptp(part, axis=1).max(axis=1)[:, None]
        a, b, c, d = part[:, first], ends[:, first], part[:, second], ends[:, second]
        crossed = _apart(a, b, c, d, limit) & _apart(c, d, a, b, limit)
        total[start : start + step] = crossed.sum(axis=1)
    return total


def _apart(a: Floats, b: Floats, c: Floats, d: Floats, limit: Floats) -> Marks:
    """Whether c and d lie on both sides of the line through a and b, each further from it than `limit`."""
    along = b - a
    length = np.hypot(along[..., 0], along[..., 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        one = (along[..., 0] * (c - a)[..., 1] - along[..., 1] * (c - a)[..., 0]) / length
        other = (along[..., 0] * (d - a)[..., 1] - along[..., 1] * (d - a)[..., 0]) / length
    return np.asarray((one * other < 0) & (np.minimum(np.abs(one), np.abs(other)) > limit))
