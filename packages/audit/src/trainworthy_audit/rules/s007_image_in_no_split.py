"""Image in no split.

## What it does
Counts the images that no split holds, in a dataset that has splits: no list names them, no key of data.yaml leads to
their folder, no COCO file of a split has them. They are listed folder by folder.

## Why it hurts training
They are neither trained on nor validated with, so the dataset is smaller than it looks. Often a list was made before
the last images were added, or a folder was forgotten.

## Example
`images/test` holds 60 images, and data.yaml has the keys `train` and `val` only.

## When it is wrong
When they were held back on purpose.
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
    """One finding for each folder that holds images of no split."""
    dataset = evidence.dataset
    images = dataset.images.select(
        "image", "path", folder=pl.col("path").str.extract(r"^(.*)/", 1).fill_null("the top folder")
    )
    unlisted = images.join(dataset.membership, on="image", how="anti", maintain_order="left")
    by_folder = unlisted.group_by("folder", maintain_order=True).agg(
        count=pl.len(), related=pl.col("path").head(3)
    )
    names = ", ".join(dataset.splits[:5])
    return findings.rows(
        by_folder,
        pl.concat_str(
            pl.col("count").cast(pl.String),
            pl.when(pl.col("count") == 1).then(pl.lit(" image in ")).otherwise(pl.lit(" images in ")),
            "folder",
            pl.when(pl.col("count") == 1).then(pl.lit(" is in")).otherwise(pl.lit(" are in")),
            pl.lit(f" none of the splits: {names}"),
        ),
        measured=pl.col("count"),
        limit=0,
        unit="images",
        related=pl.col("related"),
    )


def _example(*, listed: bool) -> Example:
    cat = (Box("cat", 40, 30, 110, 90),)
    return Example(
        (Picture("reed.jpg", scene=287, boxes=cat), Picture("pond.jpg", scene=288, boxes=cat)),
        format="voc",
        files={} if listed else {"ImageSets/Main/train.txt": "reed\n"},
        expect=() if listed else ({"image": None, "measured": 1.0, "related": ["JPEGImages/pond.jpg"]},),
    )


RULE = Rule(
    code="S007",
    name="image-in-no-split",
    severity="warning",
    summary="images are in no split",
    check=check,
    clean=_example(listed=True),
    dirty=_example(listed=False),
    needs=("splits",),
)
