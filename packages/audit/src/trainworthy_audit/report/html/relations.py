"""How two images are alike, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.report.html.cards import pictured

if TYPE_CHECKING:
    from trainworthy_audit.report.shared.groups import Group
    from trainworthy_audit.types import AuditResult


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
