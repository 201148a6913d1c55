"""Oriented boxes in pixels: turned rectangles as four corners [x, y, x, y, x, y, x, y], and the upright box around."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Annotation tools write corners as whole pixels: each is off by at most half of one.
ROUNDING_PIXELS = 0.5


def rectangle(cx: float, cy: float, width: float, height: float, angle: float) -> list[float]:
    """The corners of a rectangle that is turned about its centre by `angle`, in radians, x towards y."""
    if not math.isfinite(angle):
        return [math.nan] * 8
    cos, sin = math.cos(angle), math.sin(angle)
    corners: list[float] = []
    for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        across, down = x * width, y * height
        corners += [cx + across * cos - down * sin, cy + across * sin + down * cos]
    return corners


def upright(corners: Sequence[float]) -> tuple[float, float, float, float]:
    """The edges of the upright box around corners; all are NaN where one of the corners is not known."""
    if any(map(math.isnan, corners)):
        return math.nan, math.nan, math.nan, math.nan
    x, y = corners[::2], corners[1::2]
    return min(x), min(y), max(x), max(y)


def leaves(corners: Sequence[float], width: float, height: float) -> bool:
    """Whether a corner lies outside an image of this size, by more than rounding explains."""
    left, top, right, bottom = upright(corners)
    slack = 2 * ROUNDING_PIXELS
    return left < -slack or top < -slack or right > width + slack or bottom > height + slack


def note(oriented: int, objects: int) -> str:
    """What is audited of a dataset in which so many of the objects have an oriented box."""
    return f"Oriented boxes: {oriented:,} of {objects:,} objects have one. The upright box around is what is audited."
