"""Box covers the whole image.

## What it does
Lists boxes that cover at least `share` of their image.

## Why it hurts training
Some are close-ups and correct. Others come from classification data that was turned into boxes, from an
annotator who marked the image rather than the object, or from a crop that left nothing but the object. Such boxes
teach nothing about where an object ends, and with many of them the network learns to predict the whole image.

## Example
`0 0.5 0.5 1.0 1.0` in a YOLO file.

## When it is wrong
When the object does fill the image. The finding is only information and never blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each box over most of its image; measured is its share of the image's area, 0..1."""
    width, height = pl.col("image_width"), pl.col("image_height")
    inside_width = pl.col("x2").clip(0, width) - pl.col("x1").clip(0, width)
    inside_height = pl.col("y2").clip(0, height) - pl.col("y1").clip(0, height)
    whole = (
        evidence.boxes.filter("finite", ~pl.col("unit_error"), width > 0, height > 0)
        .filter(
            inside_width > 0,
            inside_height > 0,
            inside_width * inside_height >= options["share"] * width * height,
        )
        .with_columns((inside_width * inside_height / (width * height)).alias("share"))
    )
    return findings.rows(
        whole,
        pl.format("box covers {} % of the image", findings.number(pl.col("share") * 100, 1)),
        measured=pl.col("share").round(4),
        limit=options["share"],
        unit="of the image",
    )


_PICTURES = (
    Picture("market.jpg", scene=130, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("square.jpg", scene=131, boxes=(Box("cat", 30, 20, 100, 70),)),
)

RULE = Rule(
    code="B007",
    name="box-covers-image",
    severity="info",
    summary="box covers the whole image",
    check=check,
    clean=Example((*_PICTURES, Picture("poster.jpg", scene=132, boxes=(Box("dog", 20, 15, 140, 105),)))),
    dirty=Example(
        (*_PICTURES, Picture("poster.jpg", scene=132, boxes=(Box("dog", 0, 0, 160, 120),))),
        expect=(
            {
                "image": "images/train/poster.jpg",
                "annotation": "labels/train/poster.txt",
                "line": 1,
                "box": 0,
                "measured": 1.0,
            },
        ),
    ),
    needs=("boxes",),
    options=(
        Option(
            "share",
            0.95,
            "from which share of the image's area on a box covers it",
            "a margin of about 1 % of each side, which annotators leave when they mean the whole image",
        ),
    ),
)
