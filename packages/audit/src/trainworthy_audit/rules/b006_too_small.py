"""Box too small to learn.

## What it does
Computes how large each box is once its image has been scaled so that its longer side has `training-size`
pixels, as trainers do. Reports boxes that are then thinner than `smallest-side-pixels`, or smaller than
`cell-pixels` in both directions.

## Why it hurts training
The network sees almost nothing of such an object: it falls within a single cell of the finest grid, a shift of
one pixel halves its IoU, and the network is penalised for not finding what cannot be seen. Many of them dominate
the loss.

## Example
A box of 12 x 9 pixels in an image of 4000 x 3000: scaled to 640 pixels, it is 1.9 x 1.4.

## When it is wrong
When you train at a higher resolution or on tiles: set `training-size` to yours. When small objects are the
task, choose a network with a finer grid and lower the thresholds.
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
    """One finding for each box that is too small; measured is the side that falls short, pixels."""
    size, thin, cell = options["training-size"], options["smallest-side-pixels"], options["cell-pixels"]
    scale = size / pl.max_horizontal("image_width", "image_height")
    width, height = (pl.col("x2") - pl.col("x1")) * scale, (pl.col("y2") - pl.col("y1")) * scale
    shorter, longer = pl.min_horizontal(width, height), pl.max_horizontal(width, height)
    small = evidence.boxes.filter(
        "finite", ~pl.col("unit_error"), shorter > 0, (shorter < thin) | (longer < cell)
    ).with_columns(
        pl.when(longer < cell).then(longer).otherwise(shorter).round(2).alias("measured"),
        pl.when(longer < cell).then(pl.lit(float(cell))).otherwise(pl.lit(float(thin))).alias("limit"),
        pl.format("{} x {}", findings.number(width, 1), findings.number(height, 1)).alias("scaled"),
    )
    return findings.rows(
        small,
        pl.format("box is {} px once the image is scaled to {}", "scaled", pl.lit(f"{size:g}")),
        measured=pl.col("measured"),
        limit=pl.col("limit"),
        unit="px",
    )


def _example(right: float, bottom: float) -> Example:
    return Example(
        (
            Picture("roof.jpg", scene=128, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
            Picture(
                "wall.jpg", scene=129, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, right, bottom))
            ),
        )
    )


RULE = Rule(
    code="B006",
    name="box-too-small",
    severity="warning",
    summary="box is too small to learn",
    check=check,
    clean=_example(120, 110),
    dirty=Example(
        _example(51.5, 76).pictures,
        expect=(
            {
                "image": "images/train/wall.jpg",
                "annotation": "labels/train/wall.txt",
                "line": 2,
                "box": 1,
                "measured": 6.0,
                "limit": 8.0,
            },
        ),
    ),
    needs=("sizes", "boxes"),
    options=(
        Option(
            "training-size",
            640.0,
            "the longer side of the images while training, in pixels",
            "the default of ultralytics; YOLOv3 was trained at 416 and 608",
        ),
        Option(
            "smallest-side-pixels",
            3.0,
            "below which width or height a box is too thin, in pixels while training",
            "ultralytics warns of boxes below 3 pixels when it fits anchors, and drops those below 2 after "
            "augmentation",
        ),
        Option(
            "cell-pixels",
            8.0,
            "below which the longer side too is too small, in pixels while training",
            "the finest grid of YOLOv3, its successors and feature pyramids (P3) has cells of 8 x 8 pixels",
        ),
    ),
)
