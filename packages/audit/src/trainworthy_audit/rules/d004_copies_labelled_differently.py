"""Copies labelled differently.

## What it does
Compares the boxes of images whose pixels are the same. It finds copies with a different number of boxes of some
label, with boxes in other places, or without boxes while another copy has some.

## Why it hurts training
The same pixels have two different answers: whatever the network predicts is wrong for one of them. At least one of
the copies is wrong, which casts doubt on the other labels. An unlabelled copy teaches that its objects are
background.

## Example
`0031.jpg` has three boxes; `0031 (1).jpg`, the same file, has an empty annotation.

## When it is wrong
When the copies were labelled for different purposes, for example one for people and one for cars: merge the labels
then. Boxes that differ by less than the limit count as one object drawn twice. Images with rows that could not be
read are not compared, nor are near-duplicates, whose labels may differ for good reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import geometry
from trainworthy_audit.evidence import findings, scenes
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

EDGES = ("x1", "y1", "x2", "y2")

#: Boxes whose edges lie no further apart than this many pixels are equal, also where they have no area.
ROUNDING = 0.5


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each copy that disagrees with the copy that has the most boxes, which is related."""
    copies = _copies(evidence)
    boxes = evidence.boxes.select(
        "row",
        "image",
        pl.coalesce("label", pl.format("class {}", "class_id")).fill_null("(no label)").alias("label"),
        *EDGES,
        "finite",
    )
    wrong = (
        copies.join(_counts(copies, boxes), on="copy", how="left")
        .join(_overlaps(copies, boxes), on="copy", how="left")
        .filter(pl.col("counts").is_not_null() | (pl.col("overlap") < options["overlap"]))
        .join(
            evidence.images.select("image", "path", "split", "annotation"), left_on="copy", right_on="image"
        )
        .join(
            evidence.images.select("image", pl.col("path").alias("other")), left_on="best", right_on="image"
        )
        .sort("best", "copy")
    )
    counts = pl.col("counts").is_not_null()
    return findings.rows(
        wrong,
        pl.when(pl.col("boxes") == 0)
        .then(pl.format("has no boxes; {}, a copy of it, has {}", "other", "best_boxes"))
        .when(counts)
        .then(pl.format("is labelled differently from its copy {}: {}", "other", "counts"))
        .otherwise(
            pl.format(
                'is labelled differently from its copy {}: a box of "{}" overlaps the nearest there by {} only',
                "other",
                "worst",
                pl.col("overlap").round(2),
            )
        ),
        measured=pl.when(~counts).then(pl.col("overlap").round(3)),
        limit=pl.when(~counts).then(options["overlap"]),
        unit=pl.when(~counts).then(pl.lit("IoU")),
        related=pl.concat_list("other"),
    )


def _copies(evidence: Evidence) -> pl.DataFrame:
    """One row a copy: `copy`, `boxes`, and the copy of it that has the most boxes: `best`, `best_boxes`."""
    pairs = evidence.duplicates.filter(pl.col("relation").is_in(scenes.IDENTICAL))
    whole_files = pl.Series(list(evidence.dataset.unreadable_annotation), dtype=pl.UInt32)
    left_out = scenes.left_out(evidence)  # D010 reports these
    broken = pl.concat([evidence.dataset.unread["image"].drop_nulls(), whole_files, left_out])
    most = pl.col("boxes") == pl.col("boxes").max()
    return (
        scenes.scene_of(evidence, pairs)
        .join(evidence.boxes.group_by("image").len("boxes"), on="image", how="left", maintain_order="left")
        .with_columns(pl.col("boxes").fill_null(0))
        .filter(~pl.col("image").is_in(broken.implode()), pl.len().over("scene") > 1)
        .with_columns(
            pl.col("image").filter(most).first().over("scene").alias("best"),
            pl.col("boxes").max().over("scene").alias("best_boxes"),
        )
        .filter(pl.col("image") != pl.col("best"))
        .select(pl.col("image").alias("copy"), "boxes", "best", "best_boxes")
    )


def _counts(copies: pl.DataFrame, boxes: pl.DataFrame) -> pl.DataFrame:
    """One row a copy with other numbers of boxes: `copy`, `counts`: 'boxes of "cat": 2 here, 3 there'."""
    number = boxes.group_by("image", "label").len()
    here = copies.join(number, left_on="copy", right_on="image").select(
        "copy", "label", pl.col("len").alias("here")
    )
    there = copies.join(number, left_on="best", right_on="image").select(
        "copy", "label", pl.col("len").alias("there")
    )
    return (
        here.join(there, on=["copy", "label"], how="full", coalesce=True)
        .with_columns(pl.col("here", "there").fill_null(0))
        .filter(pl.col("here") != pl.col("there"))
        .sort("copy", "label")
        .group_by("copy")
        .agg(
            pl.format('boxes of "{}": {} here, {} there', "label", "here", "there")
            .str.join("; ")
            .alias("counts")
        )
    )


def _overlaps(copies: pl.DataFrame, boxes: pl.DataFrame) -> pl.DataFrame:
    """One row a copy: `copy`, and of the box that fits worst: `overlap` (IoU) and `worst` (its label)."""
    finite = boxes.filter("finite")
    pairs = copies.join(finite, left_on="copy", right_on="image").join(
        copies.select("copy", "best").join(finite, left_on="best", right_on="image").drop("best", "finite"),
        on=["copy", "label"],
        suffix="_b",
    )
    here = pairs.select(EDGES).to_numpy()
    there = pairs.select(f"{edge}_b" for edge in EDGES).to_numpy()
    pairs = pairs.with_columns(
        pl.Series("overlap", geometry.pairwise_iou(here, there)),
        pl.all_horizontal((pl.col(edge) - pl.col(f"{edge}_b")).abs() <= ROUNDING for edge in EDGES).alias(
            "equal"
        ),
    ).with_columns(pl.when("equal").then(1.0).otherwise("overlap").alias("overlap"))
    counterparts = [
        pairs.group_by("copy", "label", row).agg(pl.col("overlap").max()).drop(row)
        for row in ("row", "row_b")
    ]
    return (
        pl.concat(counterparts)
        .sort("overlap", "label")
        .group_by("copy")
        .agg(pl.col("overlap").first(), pl.col("label").first().alias("worst"))
    )


def _example(*boxes: Box) -> tuple[Picture, ...]:
    cat = Box("cat", 20, 20, 70, 70)
    dog = Box("dog", 80, 30, 150, 100)
    return (
        Picture("lane.jpg", scene=141, boxes=(cat, dog)),
        Picture("lane_copy.jpg", like="lane.jpg", boxes=(cat, *boxes)),
        Picture("path.jpg", scene=142, boxes=(cat, dog)),
    )


RULE = Rule(
    code="D004",
    name="copies-labelled-differently",
    severity="error",
    summary="identical images have different labels",
    check=check,
    clean=Example(_example(Box("dog", 82, 31, 150, 100))),
    dirty=Example(
        _example(),
        expect=(
            {
                "image": "images/train/lane_copy.jpg",
                "related": ["images/train/lane.jpg"],
                "message": 'is labelled differently from its copy images/train/lane.jpg: boxes of "dog": 0 here, 1 '
                "there",
                "measured": None,
            },
        ),
    ),
    needs=("pixels", "images", "boxes"),
    options=(
        Option(
            "overlap",
            0.5,
            "smallest overlap (IoU) at which two boxes count as one object drawn twice",
            "the IoU at which mAP50 and Pascal VOC call a detection right",
        ),
    ),
)
