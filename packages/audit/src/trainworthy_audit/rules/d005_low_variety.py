"""Low variety.

## What it does
Counts the scenes that the dataset really shows: exact copies, near-duplicates and augmented copies of one
source count once. Reports where they are few compared with the number of images: in the dataset as a whole, or
else in one split or for one label.

## Why it hurts training
mAP rises for some epochs and then stays far too low, since all images show the same. Of fifty training runs that
were made to fail on purpose, those with one to four scenes stayed at a mAP of 0.03 to 0.27 on varied images.

## Example
600 frames of one video that were taken from three camera positions.

## When it is wrong
When the model will always work at one fixed camera, and when augmented copies were written into the dataset on
purpose: count their sources then, not the copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, scenes
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


#: Splits or labels that are named before the rest is counted.
NAMED = 5


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or else for each split and label, with the number of scenes an image."""
    counts = scenes.variety(evidence).with_columns((pl.col("scenes") / pl.col("images")).alias("share"))
    poor = counts.filter(pl.col("images") >= options["images"], pl.col("share") < options["distinct-share"])
    whole = poor.filter(pl.col("kind") == "whole").with_columns(what=pl.lit("the dataset"))
    if whole.height:
        return _findings(whole, _breakdown(counts), options)
    parts = [
        _findings(
            poor.filter(pl.col("kind") == kind).with_columns(pl.col("name").alias(kind), what="name"),
            "",
            options,
        )
        for kind in ("split", "label")
    ]
    return findings.join(parts)


def _breakdown(counts: pl.DataFrame) -> str:
    """The scenes of each split and each label, the least varied first; empty where there is only one of them."""
    sentence = ""
    for kind in ("split", "label"):
        rows = counts.filter(pl.col("kind") == kind).sort("share", "name")
        if rows.height > 1:
            named = [
                f"{row['name']} {row['scenes']:,} of {row['images']:,}" for row in rows.head(NAMED).to_dicts()
            ]
            more = f" and {rows.height - NAMED:,} more" if rows.height > NAMED else ""
            sentence += f"; by {kind}: {', '.join(named)}{more}"
    return sentence


def _findings(poor: pl.DataFrame, more: str, options: Mapping[str, Any]) -> pl.DataFrame:
    return findings.rows(
        poor,
        pl.format(
            "the {} images of {} show only {} different scenes, when copies of one scene count once{}",
            "images",
            "what",
            "scenes",
            pl.lit(more),
        ),
        measured=pl.col("share").round(3),
        limit=options["distinct-share"],
        unit="scenes an image",
    )


def _example(copies: int) -> Example:
    cat = (Box("cat", 40, 30, 100, 90),)
    scattered = tuple(
        Picture(f"place_{number}.jpg", scene=150 + number, boxes=cat) for number in range(6 - copies)
    )
    repeated = tuple(
        Picture(f"place_{number}.jpg", boxes=cat, like="place_0.jpg") for number in range(6 - copies, 6)
    )
    return Example(
        scattered + repeated,
        settings={"options": {"D005": {"images": 6}}},
        expect=({"image": None, "measured": 0.333, "limit": 0.5},) if copies > 3 else (),
    )


RULE = Rule(
    code="D005",
    name="low-variety",
    severity="warning",
    summary="images show few different scenes",
    check=check,
    clean=_example(copies=3),
    dirty=_example(copies=4),
    needs=("pixels", "images"),
    options=(
        Option(
            "distinct-share",
            0.5,
            "smallest number of different scenes, as a share of the number of images",
            "our choice: below it, an image repeats another one more often than not",
        ),
        Option(
            "images",
            20,
            "smallest number of images of a dataset, split or label whose variety is checked",
            "our choice: among fewer, chance decides, and N001 reports them",
        ),
    ),
)
