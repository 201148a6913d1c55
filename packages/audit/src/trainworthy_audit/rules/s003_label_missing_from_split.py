"""Label missing from a split.

## What it does
Finds labels that occur in one split and not in another: in training but not in validation or test, or the
other way round. A split without any boxes is reported once, unless rows or whole files of it could not be read
(A001). Boxes without a class name count as boxes, and are not compared.

## Why it hurts training
A label that validation lacks is never measured: its quality may be zero, and mAP does not show it. A label
that training lacks cannot be learnt, and each of its objects in validation counts as missed.

## Example
`bus` has 40 boxes in train and none in valid.

## When it is wrong
When a split is meant to test only some of the labels. A label with a single image cannot be in two splits; N001
reports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, usable
from trainworthy_audit.splits import role
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each split and label, with the number of the label's boxes elsewhere."""
    splits = pl.DataFrame(
        {
            "split": list(evidence.dataset.splits),
            "role": [role(name) for name in evidence.dataset.splits],
            "order": range(len(evidence.dataset.splits)),
        },
        schema={"split": pl.String, "role": pl.String, "order": pl.UInt32},
    )
    data = evidence.dataset
    membership = data.membership.unique()
    placed = data.boxes.select("image", "label").join(membership, on="image")
    counts = placed.drop_nulls("label").group_by("split", "label").agg(pl.len().alias("boxes"))
    # A bare split for training or validation blocks: S005 reports it.
    blocked = list(usable.unlabelled_splits(data))
    bare = splits.filter(~pl.col("split").is_in([*placed["split"].unique(), *blocked]))
    not_read = [*data.unread["image"].drop_nulls(), *data.unreadable_annotation]
    unclear = membership.filter(pl.col("image").is_in(not_read))["split"]
    named = counts.filter(~pl.col("split").is_in(blocked))["split"].unique()
    nameless = splits.filter(~pl.col("split").is_in(named.implode()))
    most = (
        counts.sort("boxes", "split", descending=[True, False])
        .group_by("label")
        .agg(
            pl.col("split").first().alias("elsewhere"),
            pl.col("boxes").first().alias("most"),
            pl.col("boxes").sum(),
        )
    )
    missing = (
        splits.join(nameless, on="split", how="anti")
        .join(most, how="cross")
        .join(counts.select("split", "label"), on=["split", "label"], how="anti")
        .sort("order", "label")
    )
    consequence = (
        pl.when(pl.col("role") == "train")
        .then(pl.lit("it cannot be learnt"))
        .when(pl.col("role").is_in(["val", "test"]))
        .then(pl.lit("it is never measured there"))
        .otherwise(pl.lit("it is unknown there"))
    )
    return findings.join(
        [
            findings.rows(
                bare.filter(~pl.col("split").is_in(unclear.implode())),
                pl.format("no image of {} has a box", "split"),
                measured=0,
                limit=1,
                unit="boxes",
            ),
            findings.rows(
                missing,
                pl.format(
                    '"{}" has no box in {}, but {} in {}: {}',
                    "label",
                    "split",
                    "most",
                    "elsewhere",
                    consequence,
                ),
                measured=0,
                limit=1,
                unit="boxes",
            ),
        ]
    )


def _example(label: str) -> Example:
    cat, dog = Box("cat", 20, 20, 70, 90), Box("dog", 90, 30, 150, 100)
    return Example(
        (
            Picture("hill.jpg", scene=261, boxes=(cat, dog)),
            Picture("lake.jpg", scene=262, boxes=(cat, Box(label, 90, 30, 150, 100)), split="val"),
        ),
        expect=({"image": None, "label": "dog", "split": "val"},) if label == "cat" else (),
    )


RULE = Rule(
    code="S003",
    name="label-missing-from-split",
    severity="warning",
    summary="label occurs in one split and not in another",
    check=check,
    clean=_example("dog"),
    dirty=_example("cat"),
    needs=("boxes", "several-splits"),
)
