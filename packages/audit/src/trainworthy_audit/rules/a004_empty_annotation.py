"""Empty annotation.

## What it does
Lists the images whose annotation exists and contains no object: the negatives. An annotation with a row that
could not be read is not empty; A001 reports it.

## Why it hurts training
Negatives help: they teach what the objects are not. They hurt where an annotator opened an image, saved it
and never drew the boxes, because every object in it is then learnt as background. Look at each of them once.

## Example
`labels/train/street.txt` with 0 bytes.

## When it is wrong
When the images were chosen as negatives. The finding is only information and never blocks.
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
    """One finding for each image that is annotated as holding no object."""
    data = evidence.dataset
    negatives = (
        evidence.images.select("image", "path", "split", "annotation")
        .filter(pl.col("annotation").is_not_null(), ~pl.col("image").is_in(list(data.unreadable_annotation)))
        .join(data.boxes.select("image"), on="image", how="anti", maintain_order="left")
        .join(data.unread.select("image"), on="image", how="anti", maintain_order="left")
    )
    return findings.rows(negatives, "annotated as holding no object: is it a negative on purpose?")


_PICTURES = (
    Picture("meadow.jpg", scene=108, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("forest.jpg", scene=109, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)
_LAKE = Picture("lake.jpg", scene=110, boxes=(Box("cat", 40, 30, 110, 75),))

RULE = Rule(
    code="A004",
    name="empty-annotation",
    severity="info",
    summary="image is annotated as empty",
    check=check,
    clean=Example((*_PICTURES, _LAKE)),
    dirty=Example(
        (*_PICTURES, Picture("lake.jpg", scene=110, boxes=())),
        expect=({"image": "images/train/lake.jpg", "annotation": "labels/train/lake.txt"},),
    ),
    needs=("images",),
)
