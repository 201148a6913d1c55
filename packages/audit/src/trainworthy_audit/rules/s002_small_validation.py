"""Small validation split.

## What it does
Counts the images of the validation split, and compares them with those of training and validation together.

## Why it hurts training
With few images, the measured quality varies from epoch to epoch by chance: early stopping stops at a lucky epoch,
and the 'best' weights are those of the luckiest one.

## Example
12 images for validation beside 600 for training.

## When it is wrong
When each image contains many objects, which makes the measure more stable, or when the dataset is so large that a
small share is still thousands of images: then set `share` lower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.splits import with_role
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each validation split that has too few images, or else too small a share."""
    parts = [findings.NONE]
    for split in with_role(evidence.dataset.splits, "val"):
        members = evidence.dataset.membership
        count = members.filter(pl.col("split") == split)["image"].n_unique()
        known = [split, *with_role(evidence.dataset.splits, "train")]
        share = count / max(members.filter(pl.col("split").is_in(known))["image"].n_unique(), 1)
        noun = "image" if count == 1 else "images"
        if count < options["images"]:
            few = f"{split} has {count:,} {noun}; below {options['images']}, what is measured on them is mostly chance"
            parts.append(
                findings.one(few, split=split, measured=count, limit=options["images"], unit="images")
            )
        elif share < options["share"] and count < options["enough"]:
            small = f"{split} has {count:,} images, {share:.1%} of training and validation together"
            parts.append(
                findings.one(
                    small, split=split, measured=round(share, 4), limit=options["share"], unit="of the images"
                )
            )
    return findings.join(parts)


def _example(count: int) -> Example:
    cat = (Box("cat", 40, 30, 110, 90),)
    return Example(
        (
            *(Picture(f"day_{number}.jpg", scene=250 + number, boxes=cat) for number in range(4)),
            *(
                Picture(f"night_{number}.jpg", scene=255 + number, boxes=cat, split="val")
                for number in range(count)
            ),
        ),
        settings={"options": {"S002": {"images": 2}}},
        expect=({"image": None, "split": "val", "measured": 1.0, "limit": 2.0},) if count < 2 else (),
    )


RULE = Rule(
    code="S002",
    name="small-validation",
    severity="warning",
    summary="validation split is too small to measure with",
    check=check,
    clean=_example(2),
    dirty=_example(1),
    needs=("images", "splits"),
    options=(
        Option(
            "images",
            50,
            "smallest number of images for validation",
            "statistics: a rate of one half, measured on 50 images, has a standard error of 7 points",
        ),
        Option(
            "share",
            0.1,
            "smallest share for validation of the images of training and validation together",
            "half of the usual 20 %, which the trainers' documentation recommends",
        ),
        Option(
            "enough",
            1000,
            "number of images for validation from which on the share no longer matters",
            "statistics: on 1,000 images that standard error is below 2 percentage points",
        ),
    ),
)
