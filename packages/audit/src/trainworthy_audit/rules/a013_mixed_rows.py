"""Boxes and other shapes mixed in one file.

## What it does
Finds label files of YOLO in which some rows are boxes and others polygons, oriented boxes, or boxes with keypoints.

## Why it hurts training
A row does not say what it is, so trainers decide for the whole file. Ultralytics reads each row of a file as a polygon
where one of them is: of a box, centre and size become two corners, which is another box. A file of poses with a plain
box in it is left out.

## Example
Nine objects outlined by hand, and a tenth added later as a box: `1 0.5 0.5 0.2 0.1` below rows of twenty numbers.

## When it is wrong
When your trainer decides row by row, as `trainworthy train` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

_NAMES = {"polygon": "polygons", "oriented": "oriented boxes", "keypoints": "poses"}


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each label file; measured is how many of its rows are boxes."""
    if not evidence.dataset.fractions:  # in other formats a box says that it is one
        return findings.NONE
    is_box = pl.col("shape") == "box"
    files = (
        evidence.boxes.group_by("annotation", maintain_order=True)
        .agg(
            pl.first("path", "split"),
            is_box.sum().alias("boxes"),
            (~is_box).sum().alias("others"),
            pl.col("shape").filter(~is_box).first().alias("kind"),
        )
        .filter(pl.col("boxes") > 0, pl.col("others") > 0)
    )
    return findings.rows(
        files,
        pl.format(
            "boxes and {} are mixed in one file: {} rows are boxes, {} are not; trainers read all rows as one kind",
            pl.col("kind").replace_strict(_NAMES, default="other shapes", return_dtype=pl.String),
            "boxes",
            "others",
        ),
        measured=pl.col("boxes").cast(pl.Float64),
        limit=0.0,
        unit="rows that are boxes",
    )


_PICTURES = (Picture("ford.jpg", scene=195), Picture("lock.jpg", scene=196))
_POLYGON = "1 0.2 0.2 0.6 0.2 0.7 0.4 0.6 0.7 0.2 0.7\n"

RULE = Rule(
    code="A013",
    name="mixed-rows",
    severity="warning",
    summary="boxes and other shapes are mixed in one label file",
    check=check,
    clean=Example(
        _PICTURES, files={"labels/train/ford.txt": _POLYGON, "labels/train/lock.txt": "0 0.5 0.5 0.4 0.4\n"}
    ),
    dirty=Example(
        _PICTURES,
        files={
            "labels/train/ford.txt": _POLYGON + "0 0.82 0.3 0.2 0.4\n",
            "labels/train/lock.txt": "0 0.5 0.5 0.4 0.4\n",
        },
        expect=(
            {
                "image": "images/train/ford.jpg",
                "annotation": "labels/train/ford.txt",
                "box": None,
                "measured": 1.0,
            },
        ),
    ),
    needs=("boxes",),
)
