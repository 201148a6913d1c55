"""Pixels where fractions belong.

## What it does
Finds YOLO label files with numbers so large that they can only be pixels (or per cent): YOLO's centre,
width and height are fractions of the image, 0 to 1. Numbers above 2 count; smaller ones outside are boxes out of
bounds (B001). One finding for each file, whatever the number of rows. The rows are left out of the other checks
of boxes.

## Why it hurts training
Read as fractions, these boxes lie far outside the image. Trainers drop the image, clip every box of it to
nothing, or use the numbers as they are, and the loss explodes.

## Example
`0 320 240 100 80` instead of `0 0.5 0.5 0.156 0.167`.

## When it is wrong
When the dataset is in another format that also has five numbers a row. Convert it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

#: Larger numbers are taken for pixels: `PIXELS_FROM` in `formats.shared.fractions`, which rules do not import.
LARGEST_FRACTION = 2.0


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each file with such rows, at the first of them; measured is its largest number."""
    edges = ("x1", "y1", "x2", "y2")
    files = evidence.boxes.filter("unit_error")["annotation"].unique()
    found = (
        evidence.boxes.filter(pl.col("annotation").is_in(files.implode()))
        .group_by("annotation", maintain_order=True)
        .agg(
            pl.len().alias("rows"),
            pl.col("unit_error").sum().alias("wrong"),
            pl.col("path", "split", "line", "box", "row", *edges).filter("unit_error").first(),
            pl.max_horizontal(pl.col(edge).filter("unit_error").abs().max() for edge in edges).alias(
                "largest"
            ),
        )
    )
    centre = [(pl.col("x1") + pl.col("x2")) / 2, (pl.col("y1") + pl.col("y2")) / 2]
    sides = [pl.col("x2") - pl.col("x1"), pl.col("y2") - pl.col("y1")]
    example = pl.format(
        "centre {}, {} and size {} x {}", *(findings.number(number) for number in (*centre, *sides))
    )
    return findings.rows(
        found,
        pl.format(
            "{} of {} rows hold pixels, not fractions of the image: the first has {}",
            "wrong",
            "rows",
            example,
        ),
        measured=pl.col("largest"),
        limit=LARGEST_FRACTION,
        unit="times the image's side",
    )


_PICTURES = (
    Picture("mill.jpg", scene=133, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("weir.jpg", scene=134, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="B008",
    name="pixels-for-fractions",
    severity="error",
    summary="label file holds pixels instead of fractions",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        _PICTURES,
        files={"labels/train/weir.txt": "0 65 45 70 50\n1 85 92.5 70 35\n"},
        expect=(
            {
                "image": "images/train/weir.jpg",
                "annotation": "labels/train/weir.txt",
                "line": 1,
                "box": 0,
                "measured": 120.0,
            },
        ),
    ),
    needs=("boxes", "fractions"),
)
