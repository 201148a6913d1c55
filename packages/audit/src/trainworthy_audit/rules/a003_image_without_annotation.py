"""Image without annotation.

## What it does
Finds images that no annotation file mentions. An image whose annotation exists but contains no object is a
negative, which A004 lists. Images whose annotation is in a file of which nothing could be read belong to A001.

## Why it hurts training
It is unclear what is meant. If the image shows objects that were never labelled, trainers that use it as
background teach the network to overlook them; trainers that skip it make the dataset smaller than it looks.

## Example
`images/train/street.jpg` where there is no `labels/train/street.txt`.

## When it is wrong
Ultralytics documents that an image without objects needs no label file, so in such a dataset it may be a
negative on purpose. An empty label file says the same unambiguously.
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
    """One finding for each image that no annotation mentions."""
    silent = evidence.images.filter(
        pl.col("annotation").is_null(), ~pl.col("image").is_in(list(evidence.dataset.unreadable_annotation))
    )
    return findings.rows(silent, "no annotation mentions this image, not even to say that it shows no object")


_PICTURES = (
    Picture("hall.jpg", scene=105, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("stairs.jpg", scene=106, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
    Picture("attic.jpg", scene=107, boxes=()),
    Picture("cupboard.jpg", scene=156, boxes=()),
)

RULE = Rule(
    code="A003",
    name="image-without-annotation",
    severity="warning",
    summary="image has no annotation",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        _PICTURES,
        files={"labels/train/attic.txt": None},
        expect=({"image": "images/train/attic.jpg", "annotation": None},),
    ),
    needs=("images",),
)
