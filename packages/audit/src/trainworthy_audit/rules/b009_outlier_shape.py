"""Outlier shape.

## What it does
Lists boxes whose shape is unlike that of the other boxes of their label: the ratio of their sides, or their
share of the image, lies further from the label's median than `deviations` times its usual spread. It also
lists boxes that are more than `longest-ratio` times as long as wide, whatever the label.

## Why it hurts training
Most of these boxes are rare but true. Among them are the slips that no other rule can see: a box around two
objects, a stray drag, a wrong label, width and height exchanged.

## Example
Among 200 upright bottles, one that is ten times as wide as high.

## When it is wrong
Often: look at the picture. The finding is only information and never blocks.

## How it is found
The logarithms of ratio and share are compared with the median of their label, in units of the median
absolute deviation (times 1.4826, so that it equals a standard deviation for normal data). Labels with few
boxes are not judged that way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import finding
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

#: Makes the median absolute deviation comparable with a standard deviation (Iglewicz and Hoaglin, 1993).
NORMAL = 1.4826


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each outlier; measured is its ratio, or how many times it differs from the median."""
    width, height = pl.col("x2") - pl.col("x1"), pl.col("y2") - pl.col("y1")
    whole = pl.col("image_width") * pl.col("image_height")
    shapes = (
        evidence.boxes.lazy()
        .with_row_index("row")
        .filter("finite", ~pl.col("unit_error"), width > 0, height > 0, whole > 0)
        .select(
            "row",
            "label",
            (width / height).log().alias("ratio"),
            (width * height / whole).log().alias("share"),
        )
        .collect()
    )
    return _findings(evidence, _far(shapes, options), options)


def _far(shapes: pl.DataFrame, options: Mapping[str, Any]) -> pl.DataFrame:
    """The shapes that are far out: row, ratio, share, and how far (`ratio_off`, `share_off`); logarithms."""
    middle = [pl.col(name).median().alias(f"{name}_median") for name in ("ratio", "share")]
    usual = shapes.group_by("label").agg(pl.len().alias("count"), *middle)
    joined = shapes.join(usual, on="label", how="left", nulls_equal=True).with_columns(
        (pl.col(name) - pl.col(f"{name}_median")).alias(f"{name}_off") for name in ("ratio", "share")
    )
    spread = joined.group_by("label").agg(
        (pl.col(f"{name}_off").abs().median() * NORMAL).alias(f"{name}_spread") for name in ("ratio", "share")
    )
    floor = math.log(options["smallest-factor"])

    def allowed(name: str) -> pl.Expr:
        enough = pl.col("label").is_not_null() & (pl.col("count") >= options["fewest-boxes"])
        usual = pl.max_horizontal(pl.col(f"{name}_spread") * options["deviations"], pl.lit(floor))
        return pl.when(enough).then(usual).otherwise(pl.lit(math.inf))

    longest = math.log(options["longest-ratio"])
    return (
        joined.join(spread, on="label", how="left", nulls_equal=True)
        .with_columns(allowed(name).alias(f"{name}_allowed") for name in ("ratio", "share"))
        .with_columns(
            (pl.col("ratio").abs() > longest).alias("long"),
            (pl.col("ratio_off").abs() > pl.col("ratio_allowed")).alias("odd_ratio"),
            (pl.col("share_off").abs() > pl.col("share_allowed")).alias("odd_share"),
        )
        .filter(pl.any_horizontal("long", "odd_ratio", "odd_share"))
        .sort("row")
    )


def _findings(evidence: Evidence, far: pl.DataFrame, options: Mapping[str, Any]) -> pl.DataFrame:
    def times(off: str) -> pl.Expr:
        return pl.col(off).abs().exp().round(1)

    def said(off: str) -> pl.Expr:
        return finding.number(pl.col(off).abs().exp(), 1)

    wide = pl.col("ratio") > 0
    long = pl.format("box is {} times as {}", said("ratio"), _either(wide, "wide as high", "high as wide"))
    ratio = pl.format(
        "for its height, box is {} times as {} as the label's median",
        said("ratio_off"),
        _either(pl.col("ratio_off") > 0, "wide", "narrow"),
    )
    share = pl.format(
        "box is {} times as {} as the label's median, by its share of the image",
        said("share_off"),
        _either(pl.col("share_off") > 0, "large", "small"),
    )
    described = evidence.boxes[far["row"]].hstack(far.drop("row", "label"))
    message = pl.when("long").then(long).when("odd_ratio").then(ratio).otherwise(share)
    measured = pl.when("long").then(times("ratio")).when("odd_ratio").then(times("ratio_off"))
    longest = pl.lit(float(options["longest-ratio"]))
    limit = pl.when("long").then(longest).when("odd_ratio").then(pl.col("ratio_allowed").exp())
    return finding.rows(
        described,
        message,
        measured=measured.otherwise(times("share_off")),
        limit=limit.otherwise(pl.col("share_allowed").exp()).round(1),
        unit="times",
    )


def _either(condition: pl.Expr, then: str, otherwise: str) -> pl.Expr:
    return pl.when(condition).then(pl.lit(then)).otherwise(pl.lit(otherwise))


def _example(bottom: float) -> Example:
    return Example(
        (
            Picture("fence.jpg", scene=135, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
            Picture(
                "gate.jpg", scene=136, boxes=(Box("cat", 30, 20, 100, 60), Box("dog", 20, 75, 140, bottom))
            ),
        )
    )


RULE = Rule(
    code="B009",
    name="outlier-shape",
    severity="info",
    summary="box has an unusual shape",
    check=check,
    clean=_example(110),
    dirty=Example(
        _example(79).pictures,
        expect=(
            {
                "image": "images/train/gate.jpg",
                "annotation": "labels/train/gate.txt",
                "line": 2,
                "box": 1,
                "measured": 30.0,
                "limit": 20.0,
            },
        ),
    ),
    needs=("boxes",),
    options=(
        Option(
            "longest-ratio",
            20.0,
            "from how many times as long as wide on a box is unusual for any label",
            "ultralytics drops boxes beyond 20 to 1 after augmentation in YOLOv5, beyond 100 to 1 since",
        ),
        Option(
            "deviations",
            3.5,
            "how many robust standard deviations from its label's median a box may lie",
            "the cut-off that Iglewicz and Hoaglin (1993) recommend for outliers by the median",
        ),
        Option(
            "smallest-factor",
            3.0,
            "a box that differs from the median by a smaller factor is no outlier, whatever the spread",
            "labels of machine-made boxes have almost no spread, and everything would be an outlier",
        ),
        Option(
            "fewest-boxes",
            20.0,
            "how many boxes a label must have before its own shape is judged",
            "below about 20 values the median absolute deviation itself is uncertain by a third or more",
        ),
    ),
)
