"""Box out of bounds.

## What it does
Finds boxes that reach beyond the left, top, right or bottom edge of their image by more than rounding
explains.

## Why it hurts training
The part outside has no pixels. Some trainers clip such a box silently, some drop it, some drop the whole image,
and a loss that regresses towards an edge that cannot be seen teaches the network to overshoot. Many boxes out of
bounds usually mean that the images were resized or rotated and the labels were not.

## Example
A box that ends at x = 700 in an image 640 pixels wide.

## When it is wrong
When annotators deliberately draw the whole extent of an object that the frame cuts off (amodal boxes).
Switch it to a warning then, and check that your trainer clips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

EDGES = ("left", "top", "right", "bottom")

#: Where no size of an image is known, pixels of rounding are those of images this many pixels wide and high.
UNSIZED_SIDE = 320


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each box, with how far its worst edge reaches outside, in pixels, or in shares of the side."""
    pixels = options["edge-pixels"] / (UNSIZED_SIDE if evidence.in_shares else 1)
    unit = "of the image" if evidence.in_shares else "px"
    width, height = pl.col("image_width"), pl.col("image_height")
    beyond = {
        "left": -pl.col("x1"),
        "top": -pl.col("y1"),
        "right": pl.col("x2") - width,
        "bottom": pl.col("y2") - height,
    }
    side = {"left": width, "top": height, "right": width, "bottom": height}

    def limit(edge: str) -> pl.Expr:
        return pl.max_horizontal(pl.lit(pixels), side[edge] * options["edge-fraction"])

    worst = pl.concat_list([beyond[edge] - limit(edge) for edge in EDGES]).list.arg_max()
    over = (
        evidence.boxes.filter("finite", ~pl.col("unit_error"))
        .filter(pl.any_horizontal(beyond[edge] > limit(edge) for edge in EDGES))
        .with_columns(worst.alias("worst"))
        .with_columns(
            pl.concat_list([beyond[edge] for edge in EDGES]).list.get(pl.col("worst")).alias("beyond"),
            pl.concat_list([limit(edge) for edge in EDGES]).list.get(pl.col("worst")).alias("allowed"),
            pl.lit(list(EDGES)).list.get(pl.col("worst")).alias("edge"),
        )
    )
    return findings.rows(
        over,
        _message(in_shares=evidence.in_shares),
        measured=pl.col("beyond"),
        limit=pl.col("allowed"),
        unit=unit,
    )


def _message(*, in_shares: bool) -> pl.Expr:
    beyond = pl.col("beyond")
    if in_shares:
        return pl.format(
            "box reaches {} % of the image beyond its {} edge", findings.number(beyond * 100, 2), "edge"
        )
    return pl.format("box reaches {} px beyond the {} edge of the image", findings.number(beyond), "edge")


def _example(right: float) -> Example:
    boxes = (Box("cat", 20, 30, 80, 90), Box("dog", 100, 40, right, 100))
    return Example((Picture("cut.jpg", scene=1, boxes=boxes), Picture("whole.jpg", scene=2, boxes=boxes[:1])))


RULE = Rule(
    code="B001",
    name="box-out-of-bounds",
    severity="error",
    summary="box reaches beyond the image",
    check=check,
    clean=_example(right=160.06),  # 1.0004 of the width: rounding
    dirty=Example(
        _example(right=190).pictures,
        expect=(
            {"image": "images/train/cut.jpg", "annotation": "labels/train/cut.txt", "line": 2, "box": 1},
        ),
    ),
    needs=("boxes",),
    options=(
        Option(
            "edge-pixels",
            0.5,
            "how far a box may reach beyond an edge, in pixels",
            "rounding to whole pixels moves an edge by at most half of one",
        ),
        Option(
            "edge-fraction",
            0.0005,
            "the same as a fraction of the image's side; the larger of the two counts",
            "fractions such as 1.0004, which exporters write for boxes that end at the edge",
        ),
    ),
)
