"""Which images show the same scene: duplicates by their pixels, copies of one source by name, one recording."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainworthy_audit.types import Evidence

#: Roboflow writes NAME_jpg.rf.HASH.jpg for each augmented copy that it makes of NAME.jpg.
SOURCE = r"([^/]+)\.rf\.[0-9A-Za-z]{20,}\.[^./]+$"

#: Relations of images whose pixels are the same.
IDENTICAL = ("exact", "same pixels")

#: The relation of images of one place that are no copies: taken at another moment, of other objects.
SCENE = "scene"

#: One row a link between the images `a` and `b`; `distance` is in bits of their hashes, 0..64, and `detail` the name
#: of the source or the recording.
LINKS = pl.Schema(
    {"a": pl.UInt32, "b": pl.UInt32, "relation": pl.String, "distance": pl.UInt32, "detail": pl.String}
)


def links(evidence: Evidence, *, recordings: bool = False) -> pl.DataFrame:
    """`LINKS` between images of one scene; with `recordings` also between those that `group_regex` joins."""
    pairs = evidence.duplicates.filter(pl.col("relation") != "source").select(
        "a", "b", "relation", "distance", pl.lit(None, pl.String).alias("detail")
    )
    path = evidence.images["path"]
    parts = [pairs, _alike(path.str.extract(SOURCE), "source")]
    if recordings and evidence.group_regex:
        pattern = re.compile(evidence.group_regex)
        matches = [pattern.search(text) for text in path]
        names = [match.group(min(1, pattern.groups)) if match else None for match in matches]
        parts.append(_alike(pl.Series(names, dtype=pl.String), "recording"))
    return pl.concat([part.cast(LINKS) for part in parts])


def _alike(names: pl.Series, relation: str) -> pl.DataFrame:
    """Links from the first image of a name to each later one; `names` has one an image, null for none."""
    return (
        pl.DataFrame({"detail": names})
        .with_row_index("image")
        .drop_nulls()
        .with_columns(pl.col("image").min().over("detail").alias("a"))
        .filter(pl.col("image") != pl.col("a"))
        .select(
            "a",
            pl.col("image").alias("b"),
            pl.lit(relation).alias("relation"),
            pl.lit(0).alias("distance"),
            "detail",
        )
    )


def scene_of(evidence: Evidence, pairs: pl.DataFrame) -> pl.DataFrame:
    """One row an image: `image`, and `scene`, the smallest image that pairs (`a`, `b`) connect it with."""
    scene = components(evidence.dataset.images.height, pairs["a"].to_numpy(), pairs["b"].to_numpy())
    return pl.DataFrame({"image": evidence.dataset.images["image"], "scene": scene}).cast(
        {"scene": pl.UInt32}
    )


def boxes_in_shares(evidence: Evidence) -> pl.DataFrame:
    """One row a box: `image`, the edges `x1, y1, x2, y2` in shares of its sides, and its `label`."""
    shares = [
        (pl.col(edge) / pl.col(side)).alias(edge)
        for edge, side in zip(("x1", "y1", "x2", "y2"), ("image_width", "image_height") * 2, strict=True)
    ]
    known = evidence.boxes.filter(
        "finite", pl.col("image").is_not_null(), pl.col("image_width") > 0, pl.col("image_height") > 0
    )
    return known.select("image", *shares, "label")


def left_out(evidence: Evidence) -> pl.Series:
    """The images that no annotation mentions and that training leaves out for that.

    Where an image without annotation is one without objects (YOLO), only those in no split are left out.
    """
    silent = evidence.images.filter(
        pl.col("annotation").is_null(), ~pl.col("image").is_in(list(evidence.dataset.unreadable_annotation))
    )
    if evidence.unannotated_is_negative:
        used = pl.col("split").is_not_null() if evidence.dataset.splits else pl.lit(value=True)
        silent = silent.filter(~used)
    return silent["image"]


def variety(evidence: Evidence) -> pl.DataFrame:
    """How many `images` can be decoded, and how many different `scenes` they show: one row for each `kind`, `name`.

    `kind` is "whole" (and `name` null), "split" or "label"; images of several splits or labels count in each.
    """
    scene = scene_of(evidence, links(evidence))
    seen = (
        evidence.images.filter(pl.col("status").is_in(["ok", "damaged"]))
        .select("image")
        .join(scene, on="image")
    )
    whole = seen.with_columns(pl.lit("whole").alias("kind"), pl.lit(None, pl.String).alias("name"))
    splits = seen.join(evidence.dataset.membership, on="image").select(
        "image", "scene", pl.lit("split").alias("kind"), pl.col("split").alias("name")
    )
    labelled = evidence.boxes.select("image", "label").drop_nulls().unique()
    labels = seen.join(labelled, on="image").select(
        "image", "scene", pl.lit("label").alias("kind"), pl.col("label").alias("name")
    )
    return (
        pl.concat([whole, splits, labels])
        .group_by("kind", "name")
        .agg(pl.col("image").n_unique().alias("images"), pl.col("scene").n_unique().alias("scenes"))
        .sort("kind", "name")
    )


def components(count: int, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
    """(count,) the smallest member of each node's connected component, under the edges a[i]-b[i]."""
    root = np.arange(count)
    while True:
        low, high = np.minimum(root[a], root[b]), np.maximum(root[a], root[b])
        if np.array_equal(low, high):
            return root
        np.minimum.at(root, high, low)
        while not np.array_equal(root, above := root[root]):
            root = above
