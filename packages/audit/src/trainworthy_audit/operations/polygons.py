"""Polygons as COCO and YOLO write them, [x, y, x, y, ...] in pixels: parsed, clipped, fitted to boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_audit.formats.shared.coco_masks import number
from trainworthy_audit.formats.shared.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Points = NDArray[np.float64]

#: A polygon may differ from its box by so many pixels: exporters round one of the two.
ROUNDING = 1.5


def parse(polygon: Any) -> Points:  # noqa: ANN401 - whatever the file holds
    """(n, 2) points of [x, y, x, y, ...], at least three. Raises `MalformedError` where it is no such list."""
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise MalformedError("its polygon is not a list [x, y, x, y, ...] of three points or more")
    points = np.array([number(value) for value in polygon]).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise MalformedError("its polygon holds numbers that are not finite")
    return points


def dump(points: Points) -> list[float]:
    """[x, y, x, y, ...], rounded as coordinates are written."""
    flat: list[float] = points.ravel().round(4).tolist()
    return flat


def clip(parts: Sequence[Points], row: Mapping[str, Any]) -> list[Points]:
    """The parts of a polygon clipped to the box of `row`. Raises `MalformedError` where they do not fill the box."""
    if _distance(parts, row) <= ROUNDING:
        return list(parts)
    low, high = _corners(row)
    clipped = [np.clip(part, low, high) for part in parts]
    if _distance(clipped, row) > ROUNDING:
        raise MalformedError("its polygon does not fit its box")
    return clipped


def fit(polygon: Any, row: Mapping[str, Any]) -> list[float] | None:  # noqa: ANN401 - whatever the file holds
    """The polygon stretched by a rounding error, so that its extent is its box; None where it is far from it."""
    try:
        points = parse(polygon)
    except MalformedError:
        return None
    low, high = _corners(row)
    least, most = points.min(axis=0), points.max(axis=0)
    if _distance([points], row) > ROUNDING or (most - least <= 0).any():
        return None
    stretched = low + (points - least) * ((high - low) / (most - least))
    return [float(value) for value in np.clip(stretched, low, high).ravel()]


def stretch(polygon: Sequence[float], box: Sequence[float]) -> list[float]:
    """The polygon stretched to the extent `box`: x1, y1, x2, y2; as it is where it has that, or no extent."""
    points = np.array(polygon).reshape(-1, 2)
    low, high = np.array(box[:2]), np.array(box[2:])
    least, most = points.min(axis=0), points.max(axis=0)
    if np.allclose([least, most], [low, high], rtol=1e-6, atol=1e-6) or (most - least <= 0).any():
        return list(polygon)
    stretched: list[float] = (low + (points - least) * ((high - low) / (most - least))).ravel().tolist()
    return stretched


def area(polygons: Sequence[Any]) -> float:
    """The area of all parts, in square pixels. Raises `MalformedError` where one is no polygon."""
    total = 0.0
    for part in polygons:
        x, y = parse(part).T
        total += abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    return total


def _corners(row: Mapping[str, Any]) -> tuple[Points, Points]:
    return np.array([row["x1"], row["y1"]]), np.array([row["x2"], row["y2"]])


def _distance(parts: Sequence[Points], row: Mapping[str, Any]) -> float:
    """The most by which an edge of the extent of the parts differs from that of the box."""
    low, high = _corners(row)
    points = np.concatenate(list(parts))
    return float(np.abs(np.stack([points.min(axis=0) - low, points.max(axis=0) - high])).max())
