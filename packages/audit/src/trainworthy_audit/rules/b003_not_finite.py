"""Box is not finite.

## What it does
Finds boxes of which a coordinate is written as `nan`, `inf` or a similar word.

## Why it hurts training
NaN spreads: one such box makes the loss NaN, then the gradients, and after one step every weight. Checks of the
form "is it larger than" let it pass, because no comparison with NaN is true.

## Example
`0 nan 0.5 0.2 0.3` in a YOLO file, written by a script that divided by the size of an empty image.

## When it is wrong
It is not: no trainer can learn from such a box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

EDGES = {"x1": "left", "y1": "top", "x2": "right", "y2": "bottom"}


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each box of which an edge is NaN or infinite; measured says which and what they are."""

    def bad(edge: str) -> pl.Expr:
        """By the fractions where there are any: without the image's size, its edges in pixels are unknown."""
        return ~pl.coalesce(f"f{edge}", edge).is_finite().fill_null(value=True)

    what = {
        edge: pl.when(bad(edge)).then(
            pl.format("{} is {}", pl.lit(side), pl.coalesce(f"f{edge}", edge).cast(pl.String))
        )
        for edge, side in EDGES.items()
    }
    broken = evidence.boxes.filter(pl.any_horizontal(bad(edge) for edge in EDGES)).with_columns(
        pl.concat_list(list(what.values())).list.drop_nulls().list.join(", ").alias("what")
    )
    return findings.rows(
        broken,
        pl.format("box has edges that are not finite numbers: {}", "what"),
        measured=pl.col("what"),
        limit="finite numbers",
    )


_PICTURES = (
    Picture("quay.jpg", scene=122, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("pier.jpg", scene=123, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="B003",
    name="box-not-finite",
    severity="error",
    summary="box has a coordinate that is not a finite number",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        _PICTURES,
        files={"labels/train/pier.txt": lambda rows: rows + b"0 nan 0.500000 0.200000 0.300000\n"},
        expect=(
            {"image": "images/train/pier.jpg", "annotation": "labels/train/pier.txt", "line": 3, "box": 2},
        ),
    ),
    needs=("boxes",),
)
