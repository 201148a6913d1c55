"""Exact duplicate.

## What it does
Finds images that are in the dataset more than once: the same file byte for byte, or different bytes with the
same pixels (saved again without loss, or with other EXIF data).

## Why it hurts training
The network sees such an image more often than others and memorises it. Counts of images, and every share computed
from them, are too high. When copies are in different splits, which D003 reports, validation is worthless.

## Example
`IMG_0041.jpg` and `IMG_0041 (1).jpg`.

## When it is wrong
When you repeat images on purpose to give a rare label more weight. A sampler with weights does that without
copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, scenes
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each set of copies, at its first image, with the others as related."""
    pairs = evidence.duplicates.filter(pl.col("relation").is_in(scenes.IDENTICAL))
    other_bytes = pl.col("digest").n_unique() > 1
    groups = (
        scenes.scene_of(evidence, pairs)
        .join(evidence.images.select("image", "path", "split", "digest"), on="image")
        .sort("scene", "image")
        .group_by("scene", maintain_order=True)
        .agg(
            pl.col("path").first(),
            pl.col("split").first(),
            pl.col("path").slice(1).alias("related"),
            pl.len().alias("count"),
            pl.when(other_bytes)
            .then(pl.lit("the same pixels in other bytes"))
            .otherwise(pl.lit("the same file"))
            .alias("how"),
        )
        .filter(pl.col("count") > 1)
    )
    return findings.rows(
        groups,
        pl.format("is in the dataset {} times: {}", "count", "how"),
        measured=pl.col("count"),
        limit=1,
        unit="copies",
        related=pl.col("related"),
    )


def _example(**copy: Any) -> Example:  # noqa: ANN401 - arguments of Picture
    cat = (Box("cat", 30, 20, 90, 80),)
    return Example(
        (
            Picture("porch.jpg", scene=111, boxes=cat),
            Picture("porch (1).jpg", boxes=cat, **copy),
            Picture("shed.jpg", scene=113, boxes=cat),
        ),
        expect=({"image": "images/train/porch (1).jpg", "related": ["images/train/porch.jpg"]},)
        if "like" in copy
        else (),
    )


RULE = Rule(
    code="D001",
    name="exact-duplicate",
    severity="warning",
    summary="image is in the dataset more than once",
    check=check,
    clean=_example(scene=112),
    dirty=_example(like="porch.jpg"),
    needs=("pixels", "images"),
)
