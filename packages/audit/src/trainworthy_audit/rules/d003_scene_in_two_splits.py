"""Same scene in two splits.

## What it does
Finds scenes that are in more than one split: one image listed in two, exact copies and near-duplicates of
which one is in training and another in validation, augmented copies of one source image (recognised by their
names, `NAME_jpg.rf.HASH.jpg`, as Roboflow writes them), and images of one recording, where `group_regex`
says how a path names its recording. All images that are connected are one finding.

## Why it hurts training
Validation measures how the network does on images that it has never seen. Scenes from training it has memorised:
the measured quality is too high (in trials up to a mAP of 1.00), the wrong weights are chosen as the best, and the
model disappoints in production.

## Example
`frame_0100.jpg` is in train and `frame_0101.jpg`, a fortieth of a second later, in valid.

## When it is wrong
When different images have the same source name, because several folders with a `1.jpg` each were uploaded to one
project; and when images of one place are meant to be in both, since the model will work in that place. Otherwise
split by recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, scenes
from trainworthy_audit.splits import ROLES, role
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

KINDS = {
    "exact": "identical files",
    "same pixels": "identical pixels",
    "near": "near-duplicates",
    "rotated a little": "near-duplicates rotated by some degrees",
    "contrast": "near-duplicates of other contrast",
    "source": "copies of one source by name",
    "recording": "one recording",
}


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each scene, at an image in the split that is used last (test, else validation)."""
    found = scenes.links(evidence, recordings=True)
    order = sorted(evidence.dataset.splits, key=lambda name: ROLES.index(role(name)))
    rank = {name: number for number, name in enumerate(order)}
    members = (
        evidence.dataset.membership.unique()
        .join(scenes.scene_of(evidence, found), on="image")
        .join(evidence.images.select("image", "path"), on="image")
        .with_columns(pl.col("split").replace_strict(rank, return_dtype=pl.UInt32).alias("rank"))
        .sort("scene", "rank", "image")
    )
    last = pl.col("path").filter(pl.col("rank") == pl.col("rank").max()).first()
    groups = (
        members.group_by("scene", maintain_order=True)
        .agg(
            last.alias("path"),
            pl.col("split").last(),
            pl.col("path").filter(pl.col("path") != last).unique(maintain_order=True).alias("others"),
            pl.col("split").n_unique().alias("splits"),
        )
        .filter(pl.col("splits") > 1)
        .join(_counts(members), on="scene", maintain_order="left")
        .join(_reasons(found, members), on="scene", how="left", maintain_order="left")
    )
    return findings.rows(
        groups,
        pl.when(pl.col("others").list.len() == 0)
        .then(pl.format("image is in {} splits at once: {}", "splits", "counts"))
        .otherwise(
            pl.format(
                "the same scene is in {}: {}", "counts", pl.col("reasons").fill_null("one image in both")
            )
        ),
        measured=pl.col("splits"),
        limit=1,
        unit="splits",
        related=pl.col("others"),
    )


def _counts(members: pl.DataFrame) -> pl.DataFrame:
    """One row a scene: 'train (3 images), valid (1 image)'."""
    plural = pl.when(pl.col("count") == 1).then(pl.lit("image")).otherwise(pl.lit("images"))
    return (
        members.group_by("scene", "rank", "split")
        .agg(pl.len().alias("count"))
        .sort("scene", "rank")
        .with_columns(pl.format("{} ({} {})", "split", "count", plural).alias("count"))
        .group_by("scene", maintain_order=True)
        .agg(pl.col("count").str.join(", ").alias("counts"))
    )


def _reasons(found: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """One row a scene: the links that lead from one split to another, in words."""
    place = members.select("image", "split", "scene")
    number = pl.col("distance").min()
    return (
        found.join(place, left_on="a", right_on="image")
        .join(place.drop("scene"), left_on="b", right_on="image", suffix="_b")
        .filter(pl.col("split") != pl.col("split_b"))
        .group_by("scene", "relation")
        .agg(number, pl.col("detail").first())
        .sort("scene", "distance", "relation")
        .with_columns(
            pl.col("relation")
            .replace_strict(KINDS, default=pl.format("{} near-duplicates", "relation"))
            .alias("kind"),
            pl.when(pl.col("detail").is_not_null())
            .then(pl.format(" ({})", "detail"))
            .when(~pl.col("relation").is_in(scenes.IDENTICAL))
            .then(pl.format(" ({} of 64 bits differ)", "distance"))
            .otherwise(pl.lit(""))
            .alias("more"),
        )
        .group_by("scene", maintain_order=True)
        .agg(pl.concat_str("kind", "more").str.join(", ").alias("reasons"))
    )


def _example(split: str) -> Example:
    cat = (Box("cat", 40, 30, 100, 90),)
    return Example(
        (
            Picture("hall.jpg", scene=131, boxes=cat),
            Picture("hall_again.jpg", like="hall.jpg", scene=131, boxes=cat, split=split),
            Picture("roof.jpg", scene=132, boxes=cat),
            Picture("cellar.jpg", scene=133, boxes=cat, split="val"),
        ),
        expect=({"image": "images/val/hall_again.jpg", "split": "val", "related": ["images/train/hall.jpg"]},)
        if split == "val"
        else (),
    )


RULE = Rule(
    code="D003",
    name="scene-in-two-splits",
    severity="error",
    summary="the same scene is in two splits",
    check=check,
    clean=_example("train"),
    dirty=_example("val"),
    needs=("images", "several-splits"),
)
