"""Annotation without its image.

## What it does
Finds annotation files and entries whose image is not in the dataset: a label file or xml without an image of
that name, a COCO image entry whose `file_name` does not exist, and COCO annotations whose `image_id` no image
entry has.

## Why it hurts training
These labels are never used. The dataset is smaller than its annotations say, and often the images were lost on
the way: a copy that was interrupted, a renamed file, a changed extension. Some trainers stop at the first one.

## Example
`labels/train/street.txt` where there is no `images/train/street.jpg`.

## When it is wrong
When the images are downloaded later, from storage that the dataset only names. Audit the dataset as the
trainer will see it: with the images in place.
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
    """One finding for each file or entry that annotates a missing image."""
    orphans = evidence.dataset.references.filter(
        pl.col("kind") == "annotation", pl.col("image").is_null(), ~pl.col("outside")
    ).with_columns(pl.col("source").alias("annotation"))
    message = (
        pl.when(pl.col("written").str.starts_with("image_id "))
        .then(pl.format("boxes belong to {}, which no entry of `images` declares", "written"))
        .when(pl.col("written") == pl.col("annotation"))
        .then(pl.lit("no image of this name is in the dataset"))
        .otherwise(pl.format("no such image in the dataset: {}", "written"))
    )
    return findings.rows(orphans, message)


_PICTURES = (
    Picture("street.jpg", scene=103, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("bridge.jpg", scene=104, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="A002",
    name="annotation-without-image",
    severity="error",
    summary="annotation has no image",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        _PICTURES,
        files={"labels/train/tunnel.txt": "0 0.500000 0.500000 0.300000 0.300000\n"},
        expect=({"image": None, "annotation": "labels/train/tunnel.txt"},),
    ),
)
