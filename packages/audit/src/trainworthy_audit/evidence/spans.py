"""Groups of images that lie in more than one split: what the rules about leaks report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.evidence import scenes
from trainworthy_audit.splits import ROLES, role

if TYPE_CHECKING:
    from trainworthy_audit.types import Evidence


def members(evidence: Evidence, group: pl.DataFrame) -> pl.DataFrame:
    """One row an image and split: `scene`, `image`, `path`, `split` and `rank`, the order in which splits are used.

    `group` has `image` and `scene`, as `scenes.scene_of` gives them.
    """
    order = sorted(evidence.dataset.splits, key=lambda name: ROLES.index(role(name)))
    rank = {name: number for number, name in enumerate(order)}
    return (
        evidence.dataset.membership.unique()
        .join(group, on="image")
        .join(evidence.images.select("image", "path"), on="image")
        .with_columns(pl.col("split").replace_strict(rank, return_dtype=pl.UInt32).alias("rank"))
        .sort("scene", "rank", "image")
    )


def across(members: pl.DataFrame) -> pl.DataFrame:
    """One row a scene in several splits: an image in the split that is used last, the others, and counts in words."""
    last = pl.col("path").filter(pl.col("rank") == pl.col("rank").max()).first()
    return (
        members.group_by("scene", maintain_order=True)
        .agg(
            last.alias("path"),
            pl.col("split").last(),
            pl.col("path").filter(pl.col("path") != last).unique(maintain_order=True).alias("others"),
            pl.col("split").n_unique().alias("splits"),
        )
        .filter(pl.col("splits") > 1)
        .join(_counts(members), on="scene", maintain_order="left")
    )


def leaked(evidence: Evidence) -> pl.Series:
    """The images whose copies lie in another split too."""
    copies = scenes.links(evidence, recordings=True).filter(pl.col("relation") != scenes.SCENE)
    rows = members(evidence, scenes.scene_of(evidence, copies))
    return rows.filter(pl.col("split").n_unique().over("scene") > 1)["image"].unique()


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
