"""Outlier shape.

## What it does
Lists boxes whose shape differs from that of the other boxes of their label: the ratio of their sides, or their
share of the image, lies beyond the label's quartiles by more than `fences` times the distance between the
quartiles. It also lists boxes that are more than `longest-ratio` times as long as wide, whatever the label.

## Why it hurts training
Most of these boxes are rare but correct. Among them are the mistakes that no other rule can see: a box around two
objects, an accidental drag, a wrong label, width and height swapped.

## Example
Among 200 upright bottles, one that is ten times as wide as high.

## When it is wrong
Often: look at the image. The finding is only information and never blocks.

## How it is found
Ratio and share are compared as logarithms, so that half and double are equally far away. Quartiles hardly
move for a few outliers. Labels with few boxes are not checked this way.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

MEASURES = ("ratio", "share")


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each outlier; measured is its ratio, or how many times it differs from the median."""
    width, height = pl.col("x2") - pl.col("x1"), pl.col("y2") - pl.col("y1")
    whole = pl.col("image_width") * pl.col("image_height")
    shapes = (
        evidence.boxes.lazy()
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
    """The outliers, as logarithms: `ratio`, `share`, their distances from the median, and the fences there."""
    fences = (
        shapes.drop_nulls("label")
        .group_by("label")
        .agg(pl.len().alias("count"), *(part for name in MEASURES for part in _fences(name, options)))
    )
    fences = fences.filter(pl.col("count") >= options["fewest-boxes"])
    odd = [(f"odd_{name}", ~pl.col(name).is_between(f"{name}_low", f"{name}_high")) for name in MEASURES]
    return (
        shapes.join(fences, on="label", how="left")
        .with_columns(
            (pl.col("ratio").abs() > math.log(options["longest-ratio"])).alias("long"),
            *(beyond.fill_null(value=False).alias(name) for name, beyond in odd),
        )
        .filter(pl.any_horizontal("long", *(name for name, _ in odd)))
        .with_columns(part for name in MEASURES for part in _distances(name))
        .sort("row")
    )


def _fences(name: str, options: Mapping[str, Any]) -> tuple[pl.Expr, ...]:
    low, high = (pl.col(name).quantile(at, "linear") for at in (0.25, 0.75))
    reach, floor = options["fences"] * (high - low), math.log(options["smallest-factor"])
    middle = pl.col(name).median()
    return (
        middle.alias(f"{name}_median"),
        pl.min_horizontal(low - reach, middle - floor).alias(f"{name}_low"),
        pl.max_horizontal(high + reach, middle + floor).alias(f"{name}_high"),
    )


def _distances(name: str) -> tuple[pl.Expr, ...]:
    off = pl.col(name) - pl.col(f"{name}_median")
    fence = pl.when(off > 0).then(f"{name}_high").otherwise(f"{name}_low") - pl.col(f"{name}_median")
    return off.alias(f"{name}_off"), fence.abs().alias(f"{name}_allowed")


def _findings(evidence: Evidence, far: pl.DataFrame, options: Mapping[str, Any]) -> pl.DataFrame:
    def times(off: str) -> pl.Expr:
        return pl.col(off).abs().exp().round(1)

    def factor(off: str) -> pl.Expr:
        return findings.number(pl.col(off).abs().exp(), 1)

    wide = pl.col("ratio") > 0
    long = pl.format("box is {} times as {}", factor("ratio"), _either(wide, "wide as high", "high as wide"))
    ratio = pl.format(
        "for its height, box is {} times as {} as the label's median",
        factor("ratio_off"),
        _either(pl.col("ratio_off") > 0, "wide", "narrow"),
    )
    share = pl.format(
        "box is {} times as {} as the label's median, by its share of the image",
        factor("share_off"),
        _either(pl.col("share_off") > 0, "large", "small"),
    )
    described = evidence.boxes.join(far.drop("label"), on="row", maintain_order="left")
    message = pl.when("long").then(long).when("odd_ratio").then(ratio).otherwise(share)
    measured = pl.when("long").then(times("ratio")).when("odd_ratio").then(times("ratio_off"))
    longest = pl.lit(float(options["longest-ratio"]))
    limit = pl.when("long").then(longest).when("odd_ratio").then(pl.col("ratio_allowed").exp())
    return findings.rows(
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
    needs=("sizes", "boxes"),
    options=(
        Option(
            "longest-ratio",
            20.0,
            "from how many times as long as wide on a box is unusual for any label",
            "ultralytics drops boxes beyond 20 to 1 after augmentation in YOLOv5, beyond 100 to 1 since",
        ),
        Option(
            "fences",
            3.0,
            "how many times the distance between a label's quartiles a box may lie beyond them",
            "Tukey (1977) calls what lies beyond three times that distance far out",
        ),
        Option(
            "smallest-factor",
            3.0,
            "a box that differs from the median by a smaller factor is no outlier, whatever the spread",
            "labels with machine-made boxes have almost no spread, and everything would be an outlier",
        ),
        Option(
            "fewest-boxes",
            20.0,
            "how many boxes a label must have before their shapes are compared",
            "with fewer, each quartile rests on fewer than five boxes",
        ),
    ),
)
