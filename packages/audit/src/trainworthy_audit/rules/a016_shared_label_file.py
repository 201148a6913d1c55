"""Images that share one label file.

## What it does
Finds label files of YOLO that belong to more than one image: `street.jpg` and `street.png` both have their labels in
`street.txt`.

## Why it hurts training
The boxes were drawn on one of the images. The other one is trained with them, too: where it shows something else, with
boxes around nothing; where it is a copy, it counts twice.

## Example
An export of video frames as PNG was added to a folder in which photographs of the same numbers lie as JPEG.

## When it is wrong
When both files hold the same picture on purpose. Removing one is better then, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each label file, at its first image, with the others as related; measured is their number."""
    images = evidence.images.select("image", "path", "split")
    shared = (
        evidence.dataset.references.filter(pl.col("kind") == "annotation")
        .join(images, on="image", maintain_order="left", suffix="_of_image")
        .group_by(pl.col("source").alias("annotation"), maintain_order=True)
        .agg(
            pl.col("path").unique().sort().alias("paths"),
            pl.first("split_of_image").alias("split"),
        )
        .filter(pl.col("paths").list.len() > 1)
        .with_columns(
            pl.col("paths").list.first().alias("path"),
            pl.col("paths").list.slice(1).alias("others"),
            pl.col("paths").list.len().alias("count"),
        )
    )
    return findings.rows(
        shared,
        pl.format(
            "{} images share the label file {}: {}",
            "count",
            "annotation",
            pl.col("paths").list.head(3).list.join(", "),
        ),
        measured=pl.col("count").cast(pl.Float64),
        limit=1.0,
        unit="images",
        related=pl.col("others"),
    )


_DOG = (Box("dog", 30, 30, 100, 90),)
_PICTURES = (Picture("pond.jpg", scene=197, boxes=_DOG), Picture("lake.jpg", scene=198, boxes=_DOG))

RULE = Rule(
    code="A016",
    name="shared-label-file",
    severity="warning",
    summary="several images share one label file",
    check=check,
    clean=Example((*_PICTURES, Picture("hill.png", scene=199, boxes=_DOG))),
    dirty=Example(
        (*_PICTURES, Picture("lake.png", scene=199, boxes=_DOG)),
        expect=(
            {
                "image": "images/train/lake.jpg",
                "annotation": "labels/train/lake.txt",
                "related": ["images/train/lake.png"],
                "measured": 2.0,
            },
        ),
    ),
    needs=("fractions",),
)
