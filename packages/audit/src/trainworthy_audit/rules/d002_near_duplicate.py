"""Near-duplicate.

## What it does
Finds images that show nearly the same picture: saved again, resized, brighter or darker, cropped by up to a third
of their area or more, mirrored, rotated by quarter turns or a few degrees, framed by plain bars, overwritten in
part, or taken a moment later from the same place. Candidates are found by their perceptual hashes and by keypoints
that match in both; a candidate counts only if the pictures themselves, after registration, agree, and more than
pictures of this dataset agree by chance: a plain background does not count. The finding says what was done to how
many; the report shows both pictures. Exact copies are reported by D001.

## Why it hurts training
A thousand frames of one parked car contain about as much information as ten. The dataset looks larger than it is,
training takes longer, and what the frames share by chance (that car, that light) is learnt as if it were the rule.

## Example
Twenty frames of a video, a tenth of a second apart; a picture and its mirror image.

## When it is wrong
When the small difference is what you want to detect, such as a missing screw in front of an unchanging
background. Copies made by augmentation before the export are found too: correctly, but you know them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, scenes
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from trainworthy_audit.types import Evidence


#: How relations are called after a number of pairs.
WORDS = {
    "near": "changed in part",
    "scene": "of the same place",
    "contrast": "of other contrast",
    "rotated a little": "rotated by some degrees",
}


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each set of similar images, at its first one; of exact copies only the first counts."""
    pairs = evidence.duplicates.filter(pl.col("relation") != "source")
    alike = ~pl.col("relation").is_in(scenes.IDENTICAL)
    copies = scenes.scene_of(evidence, pairs.filter(~alike)).rename({"scene": "original"})
    scene = scenes.scene_of(evidence, pairs)
    groups = (
        copies.join(scene, on="image")
        .filter(pl.col("image") == pl.col("original"))
        .join(evidence.images.select("image", "path", "split"), on="image")
        .sort("scene", "image")
        .group_by("scene", maintain_order=True)
        .agg(
            pl.col("path").first(),
            pl.col("split").first(),
            pl.col("path").slice(1).alias("related"),
            pl.len().alias("count"),
        )
        .filter(pl.col("count") > 1)
    )
    how = (
        pairs.filter(alike)
        .join(scene, left_on="a", right_on="image")
        .group_by("scene", "relation")
        .agg(pl.col("similarity").min(), pl.len().alias("many"))
        .sort("scene", "many", "relation", descending=[False, True, False])
        .with_columns(pl.col("relation").replace(WORDS).alias("word"))
        .group_by("scene", maintain_order=True)
        .agg(
            pl.col("similarity").min(),
            pl.when(pl.col("many").sum() > 1)
            .then(pl.format("{} {}", "many", "word"))
            .otherwise(pl.col("word"))
            .str.join(", ")
            .alias("how"),
        )
    )
    groups = groups.join(how, on="scene", maintain_order="left")
    others = pl.when(pl.col("count") > 2).then(pl.lit("images")).otherwise(pl.lit("image"))
    return findings.rows(
        groups,
        pl.format("shows nearly the same picture as {} other {}: {}", pl.col("count") - 1, others, "how"),
        measured=pl.col("similarity").round(3),
        limit=options["similarity"],
        unit="correlation",
        related=pl.col("related"),
    )


def _darken(image: Image) -> Image:
    return image.point(lambda value: value * 9 // 10)


def _example(scene: int) -> tuple[Picture, ...]:
    dog = (Box("dog", 50, 30, 110, 90),)
    return (
        Picture("frame_1.jpg", scene=121, boxes=dog),
        Picture("frame_2.jpg", scene=scene, boxes=dog, edit=_darken),
        Picture("other.jpg", scene=123, boxes=dog),
    )


RULE = Rule(
    code="D002",
    name="near-duplicate",
    severity="warning",
    summary="images show nearly the same picture",
    check=check,
    clean=Example(_example(122)),
    dirty=Example(
        _example(121),
        expect=({"image": "images/train/frame_1.jpg", "related": ["images/train/frame_2.jpg"]},),
    ),
    needs=("pixels", "images"),
    options=(
        Option(
            "distance",
            8,
            "how many of the 64 bits of two perceptual hashes may differ; crops are found without them",
            "measured: of 38,219 pairs of unrelated photographs none differed in 8 bits or fewer, while 99 % "
            "of recompressed, resized, darkened and mirrored copies did",
        ),
        Option(
            "similarity",
            0.8,
            "smallest correlation, from -1 to 1, of the two pictures at 64 x 64 pixels, after registration",
            "measured: it keeps 99.6 % of those copies, and rejects chance hits among millions of hashes",
        ),
    ),
)
