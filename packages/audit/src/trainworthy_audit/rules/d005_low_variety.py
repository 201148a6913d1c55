"""Low variety.

## What it does
Counts the scenes that the dataset really shows: exact copies, near-duplicates and augmented copies of one
source count once. It says where they are few against the number of images: in the dataset as a whole, or
else in one split or for one label.

## Why it hurts training
Loss and mAP climb for some epochs and then stay where they are, far too low, since all images say the same
thing. Of fifty training runs made to fail on purpose, those with one to four scenes stayed at a mAP of 0.03
to 0.27 on varied pictures.

## Example
600 frames of one video that were taken from three camera positions.

## When it is wrong
When the model is to work at one fixed camera for ever, and when augmented copies were written into the
dataset on purpose: count their sources then, not the copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import finding, scenes
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or else for each split and label, with the number of scenes an image."""
    scene = scenes.scene_of(evidence, scenes.links(evidence))
    seen = (
        evidence.images.filter(pl.col("status").is_in(["ok", "damaged"]))
        .select("image")
        .join(scene, on="image")
    )
    whole = _poor(seen.with_columns(pl.lit("the dataset").alias("what")), options)
    if whole.height:
        return _findings(whole, options)
    by_split = seen.join(evidence.dataset.membership, on="image").with_columns(pl.col("split").alias("what"))
    by_label = seen.join(
        evidence.boxes.select("image", "label").drop_nulls().unique(), on="image"
    ).with_columns(pl.col("label").alias("what"))
    return finding.join(
        [
            _findings(_poor(by_split, options).with_columns(split="what"), options),
            _findings(_poor(by_label, options).with_columns(label="what"), options),
        ]
    )


def _poor(seen: pl.DataFrame, options: Mapping[str, Any]) -> pl.DataFrame:
    """Of the groups named by `what`: `images`, `scenes`, `share`, where the share is below the limit."""
    return (
        seen.group_by("what")
        .agg(pl.col("image").n_unique().alias("images"), pl.col("scene").n_unique().alias("scenes"))
        .with_columns((pl.col("scenes") / pl.col("images")).alias("share"))
        .filter(pl.col("images") >= options["images"], pl.col("share") < options["distinct-share"])
        .sort("what")
    )


def _findings(poor: pl.DataFrame, options: Mapping[str, Any]) -> pl.DataFrame:
    return finding.rows(
        poor,
        pl.format(
            "the {} images of {} show only {} different scenes, when copies of one scene count once",
            "images",
            "what",
            "scenes",
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
    needs=("images",),
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
            "number of images of a dataset, split or label from which on its variety is judged",
            "our choice: among fewer, chance decides, and N001 speaks of them",
        ),
    ),
)
