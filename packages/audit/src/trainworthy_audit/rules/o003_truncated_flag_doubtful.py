"""Truncated flag doubtful.

## What it does
Compares the `truncated` flag with the box. Reports a box that touches the image's border but is not flagged, and a
box that is flagged although it ends far from every border.

## Why it hurts training
Where the flag is used to leave objects out, or to check the dataset (O001), careless flags give wrong results. They
also show how carefully the annotators worked, and whether they understood the flag in the same way.

## Example
A car that the right border cuts in half, with `<truncated>0</truncated>`.

## When it is wrong
When an object ends exactly at the border. Also, by Pascal VOC's guidelines an object that is hidden behind another
may be flagged truncated in the middle of the image, where the box contains only its visible part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

BORDERS = ("left", "top", "right", "bottom")


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each doubtful flag, with the box's distance to the nearest border in pixels."""
    width, height = pl.col("image_width"), pl.col("image_height")
    distances = (pl.col("x1"), pl.col("y1"), width - pl.col("x2"), height - pl.col("y2"))
    boxes = (
        evidence.boxes.filter("finite", ~pl.col("unit_error"), pl.col("truncated").is_in([0.0, 1.0]))
        .filter(width.is_not_null() & height.is_not_null())
        .with_columns(pl.concat_list(distances).alias("distances"))
        .with_columns(
            pl.col("distances").list.min().alias("distance"),
            pl.lit(list(BORDERS)).list.get(pl.col("distances").list.arg_min()).alias("border"),
            (pl.min_horizontal(width, height) * options["far-fraction"]).alias("far"),
        )
        .filter(
            pl.when(pl.col("truncated") == 0)
            # Further outside it is out of bounds, which B001 reports.
            .then(pl.col("distance").abs() <= options["touch-pixels"])
            .otherwise(pl.col("distance") > pl.col("far"))
        )
    )
    missing = pl.col("truncated") == 0
    return findings.rows(
        boxes,
        pl.when(missing)
        .then(pl.format("touches the {} border, but is not flagged truncated", "border"))
        .otherwise(
            pl.format(
                "is flagged truncated, but ends {} px from the nearest border", pl.col("distance").round(1)
            )
        ),
        measured=pl.col("distance"),
        limit=pl.when(missing).then(options["touch-pixels"]).otherwise("far"),
        unit="px from the border",
    )


def _example(truncated: int) -> Example:
    middle = Box("dog", 40, 30, 110, 90, {"truncated": 0})
    cut = Box("dog", 0, 30, 60, 90, {"truncated": truncated})
    return Example(
        (Picture("gate.jpg", scene=181, boxes=(middle,)), Picture("hedge.jpg", scene=182, boxes=(cut,))),
        format="voc",
        expect=({"image": "JPEGImages/hedge.jpg", "box": 0, "measured": 0.0},) if not truncated else (),
    )


RULE = Rule(
    code="O003",
    name="truncated-flag-doubtful",
    severity="info",
    summary="truncated flag does not fit the box's distance to the border",
    check=check,
    clean=_example(1),
    dirty=_example(0),
    needs=("sizes", "boxes", "truncated"),
    options=(
        Option(
            "touch-pixels",
            1.0,
            "distance from the border, in pixels, up to which a box touches it",
            "corners counted from 0 or from 1 differ by one pixel",
        ),
        Option(
            "far-fraction",
            0.05,
            "distance from the nearest border, as a fraction of the shorter side, from which on a truncated "
            "flag is doubtful",
            "our choice: looser than any annotator's hand, 24 pixels in an image 640 x 480",
        ),
    ),
)
