"""Same scene in two splits.

## What it does
Finds scenes that are in more than one split: one image listed in two, exact copies and near-duplicates of
which one is in training and another in validation, augmented copies of one source image (recognised by their
names, `NAME_jpg.rf.HASH.jpg`, as Roboflow writes them), and images of one recording, where `group_regex`
says how a path names its recording. All images that are connected are one finding. Two pictures are copies
if their own detail agrees, not only the background that pictures of the dataset share, and if their boxes do not
lie elsewhere; other pictures of one place are reported by D007, recordings that only names suggest by D008.

## Why it hurts training
Validation measures how the network does on images that it has never seen. Scenes from training it has memorised:
the measured quality is too high (in trials up to a mAP of 1.00), the wrong weights are chosen as the best, and the
model disappoints in production.

## Example
`frame_0100.jpg` is in train and `frame_0101.jpg`, a fortieth of a second later, in valid.

## When it is wrong
When different images have the same source name, because several folders with a `1.jpg` each were uploaded to one
project. Otherwise split by recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, scenes, spans
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
    found = scenes.links(evidence, recordings=True).filter(pl.col("relation") != scenes.SCENE)
    members = spans.members(evidence, scenes.scene_of(evidence, found))
    groups = spans.across(members).join(
        _reasons(found, members), on="scene", how="left", maintain_order="left"
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
