"""How the picture of an image lies on that of another that is like it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_audit.report.html.pictures import Image
    from trainworthy_audit.report.html.relations import Relation

#: A map whose area is smaller than this has no inverse that would be of use.
FLAT = 1e-6


@dataclass(frozen=True)
class Overlay:
    """A picture laid on another: `matrix` is that of SVG, from pixels of `upper` to those of `lower`."""

    lower: Image
    upper: Image
    matrix: str


def overlay(relation: Relation | None, lower: Image, upper: Image) -> Overlay | None:
    """The two on one another; None where it is not known how they lie, or one of them cannot be shown."""
    if relation is None or relation.map is None or not (lower.jpeg and upper.jpeg):
        return None
    affine = relation.map if lower.path == relation.first else _inverse(relation.map)
    if affine is None:
        return None
    a, b, c, d, e, f = affine
    across, down = lower.width, lower.height
    numbers = (
        a * across / upper.width, d * down / upper.width, b * across / upper.height, e * down / upper.height,
        c * across, f * down,
    )  # fmt: skip
    return Overlay(lower, upper, " ".join(f"{value:.5g}" for value in numbers))


def _inverse(affine: tuple[float, ...]) -> tuple[float, ...] | None:
    a, b, c, d, e, f = affine
    area = a * e - b * d
    if abs(area) < FLAT:
        return None
    return (
        e / area, -b / area, (b * f - c * e) / area,
        -d / area, a / area, (c * d - a * f) / area,
    )  # fmt: skip
