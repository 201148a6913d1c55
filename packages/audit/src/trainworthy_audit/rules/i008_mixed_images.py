"""Mixed images.

## What it does
Reports once for the dataset that its images are of different kinds: resolutions far apart, portrait and landscape,
several file formats, grey images among colour. Each suggests that the images come from several sources.

## Why it hurts training
All images are scaled to one size for training: what is 200 pixels tall in one source is 20 in another. Where a
source coincides with a label, the network learns the source instead of the object.

## Example
800 frames of 1920 x 1080 from a camera, and 60 thumbnails of 160 x 120 from the web that contain all the boxes
of one label.

## When it is wrong
When the mixture is intended, since the model will meet all these sources. It is information, not a defect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each thing that is mixed: resolution, orientation, format, colour."""
    images = evidence.images.filter(
        pl.col("status").is_in(["ok", "damaged"]), pl.col("width") > 0, pl.col("height") > 0
    )
    if images.height < 2:
        return findings.NONE
    return findings.join(
        [
            _resolutions(images, options["area-ratio"]),
            _orientations(images, options["minority-share"]),
            _formats(images),
            _colours(images),
        ]
    )


def _resolutions(images: pl.DataFrame, limit: float) -> pl.DataFrame:
    sizes = (
        images.group_by("width", "height")
        .agg(pl.len().alias("count"))
        .with_columns((pl.col("width").cast(pl.Float64) * pl.col("height")).alias("area"))
    )
    smallest, *_, largest = sizes.sort("area", "width").rows(named=True) * (1 if sizes.height > 1 else 2)
    ratio = largest["area"] / smallest["area"]
    if ratio <= limit:
        return findings.NONE
    common = sizes.sort(pl.col("count"), pl.col("area"), descending=True).row(0, named=True)
    return findings.one(
        f"resolutions are mixed: {sizes.height:,} sizes from {_size(smallest)} to {_size(largest)} px, the "
        f"most frequent {_size(common)} ({common['count'] / images.height:.0%} of the images)",
        measured=round(ratio, 1),
        limit=limit,
        unit="times as many pixels in the largest as in the smallest",
    )


def _size(row: Mapping[str, Any]) -> str:
    return f"{row['width']} x {row['height']}"


def _orientations(images: pl.DataFrame, limit: float) -> pl.DataFrame:
    landscape = images.filter(pl.col("width") > pl.col("height")).height
    portrait = images.filter(pl.col("width") < pl.col("height")).height
    share = min(landscape, portrait) / images.height
    if share <= limit:
        return findings.NONE
    return findings.one(
        f"portrait and landscape images are mixed: {portrait:,} taller than wide, {landscape:,} wider than "
        f"tall, {images.height - portrait - landscape:,} square",
        measured=round(share, 3),
        limit=limit,
        unit="of the images are of the rarer kind",
    )


def _formats(images: pl.DataFrame) -> pl.DataFrame:
    kinds = (
        images["format"].drop_nulls().value_counts().sort("count", "format", descending=[True, False]).rows()
    )
    if len(kinds) < 2:
        return findings.NONE
    listed = ", ".join(f"{count:,} {kind.upper()}" for kind, count in kinds)
    return findings.one(f"file formats are mixed: {listed}", measured=len(kinds), limit=1, unit="formats")


def _colours(images: pl.DataFrame) -> pl.DataFrame:
    grey = images.filter(
        pl.col("mode").is_in(["1", "L", "LA", "I", "F"]) | pl.col("mode").str.starts_with("I;16")
    ).height
    if grey in {0, images.height}:
        return findings.NONE
    return findings.one(
        f"grey and colour images are mixed: {grey:,} of {images.height:,} are grey",
        measured=round(grey / images.height, 3),
        limit=0,
        unit="of the images are grey",
    )


def _example(size: tuple[int, int]) -> tuple[Picture, ...]:
    near, far = size[1] / 6, size[1] / 1.5
    return (
        Picture("camera.jpg", scene=81, boxes=(Box("cat", 20, 20, 80, 80),)),
        Picture("web.jpg", scene=82, size=size, boxes=(Box("cat", near, near, far, far),)),
    )


RULE = Rule(
    code="I008",
    name="mixed-images",
    severity="info",
    summary="images are of many sizes or come from several sources",
    check=check,
    clean=Example(_example((160, 120))),
    dirty=Example(_example((400, 300)), expect=({"image": None, "measured": 6.2, "limit": 4.0},)),
    needs=("pixels", "images"),
    options=(
        Option(
            "area-ratio",
            4.0,
            "how many times as many pixels the largest image may have as the smallest",
            "twice each side: one step between the scales of a detector's feature pyramid",
        ),
        Option(
            "minority-share",
            0.1,
            "how large the share of the rarer of portrait and landscape images may be",
            "our choice: below a tenth they are exceptions, not a second source",
        ),
    ),
)
