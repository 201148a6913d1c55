"""How two images are alike, in words, and how one lies on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.report.html.pictures import pictured

if TYPE_CHECKING:
    from trainworthy_audit.report.html.pictures import Image
    from trainworthy_audit.report.shared.groups import Group
    from trainworthy_audit.types import AuditResult

#: A map whose area is smaller than this has no inverse that would be of use.
FLAT = 1e-6


@dataclass(frozen=True)
class Relation:
    """How two images are alike, as the search for duplicates says it."""

    first: str
    second: str
    how: str  # in words, with {a} and {b} for the two
    map: (
        tuple[float, ...] | None
    )  # where a place of `second` is in `first`, in shares of the sides; see `PAIRS`

    def beside(self, path: str) -> str:
        """In words, to stand beside the picture of one of the two."""
        names = ("this one", "the first") if path == self.first else ("the first", "this one")
        return self.how.replace("{a}", names[0]).replace("{b}", names[1])


Relations = Mapping[frozenset[str], Relation]
"""By the paths of the two images."""


@dataclass(frozen=True)
class Overlay:
    """A picture laid on another: `matrix` is that of SVG, from pixels of `upper` to those of `lower`."""

    lower: Image
    upper: Image
    matrix: str


def relations_of(audit: AuditResult, rule_groups: list[Group]) -> Relations:
    """How the images of findings that have cards are like others, where the search for duplicates says so."""
    shown = {path for group in rule_groups for path in pictured(group)["image"]}
    names = audit.evidence.images.select("image", "path")
    numbers = names.filter(pl.col("path").is_in(list(shown)))["image"].implode()
    pairs = audit.evidence.duplicates.filter(pl.col("a").is_in(numbers) | pl.col("b").is_in(numbers))
    pairs = pairs.join(names, left_on="a", right_on="image").join(
        names, left_on="b", right_on="image", suffix="_b"
    )
    relations = {}
    for row in pairs.iter_rows(named=True):
        parts = [row["detail"] or row["relation"]]
        if row["distance"]:
            parts.append(f"{row['distance']} of 64 bits differ")
        if row["similarity"] is not None:
            parts.append(f"similarity {row['similarity']:.2f}")
        two = (row["path"], row["path_b"])
        place = None if row["map"] is None else tuple(row["map"])
        relations[frozenset(two)] = Relation(*two, ", ".join(parts), place)
    return relations


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
