"""Split list does not match.

## What it does
Checks the files that list the images of a split (ImageSets/Main/train.txt, darknet's and ultralytics' lists). Finds
entries for which the dataset has no image, and images that one list names twice.

## Why it hurts training
At a missing image the trainer stops, or it trains on fewer images than you think. An image that is listed twice
counts twice in training, and twice in the measured quality where the list is for validation.

## Example
`train.txt` still names `000123`, which was deleted last month.

## When it is wrong
When the missing images are on the training machine and not on this one.
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
    """One finding for each list entry without its image, and for each entry that repeats one above it."""
    listed = (
        evidence.dataset.references.filter(pl.col("kind") == "list")
        .rename({"source": "annotation"})
        .join(evidence.dataset.images.select("image", "path"), on="image", how="left", maintain_order="left")
        .with_columns(pl.col("line").first().over("annotation", "image").alias("first_line"))
        .with_columns(pl.int_range(pl.len()).over("annotation", "image").alias("repeat"))
    )
    missing = pl.col("image").is_null() & ~pl.col("outside")
    # VOC's trainval repeats train and val: what they lack is reported there.
    reported = listed.filter(missing, pl.col("split").is_not_null())["written"].unique()
    listed = listed.filter(
        ~missing | pl.col("split").is_not_null() | ~pl.col("written").is_in(reported.implode())
    )
    twice = pl.col("image").is_not_null() & (pl.col("repeat") > 0)
    return findings.rows(
        listed.filter(missing | twice),
        pl.when(missing)
        .then(pl.format("lists {}, but the dataset has no such image", "written"))
        .otherwise(
            pl.format(
                "lists {} again: it is already in line {}", "written", pl.col("first_line").fill_null("?")
            )
        ),
        text=pl.col("written"),
    )


def _example(more: bytes = b"") -> Example:
    cat = (Box("cat", 40, 30, 110, 90),)
    return Example(
        (Picture("quay.jpg", scene=271, boxes=cat), Picture("ship.jpg", scene=272, boxes=cat)),
        format="voc",
        files={"ImageSets/Main/train.txt": lambda data: data + more},
        expect=(
            {"annotation": "ImageSets/Main/train.txt", "line": 3, "image": None},
            {"annotation": "ImageSets/Main/train.txt", "line": 4, "image": "JPEGImages/quay.jpg"},
        )
        if more
        else (),
    )


RULE = Rule(
    code="S004",
    name="list-does-not-match",
    severity="error",
    summary="listed image is missing, or listed twice",
    check=check,
    clean=_example(),
    dirty=_example(b"ghost\nquay\n"),
    needs=("images",),
)
