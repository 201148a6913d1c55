"""Copy without annotation.

## What it does
Finds images that no annotation mentions, and that are copies (exact or near) of an image that has boxes. Where the
format takes an image of a split without annotation for one without objects, as YOLO does, it is D004 for identical
copies and D009 for the others instead: such an image is trained on.

## Why it hurts training
It does not, as long as it is left out: but the annotation was lost, or the picture does not belong to the dataset. As
soon as it is taken for an image without objects, it teaches that its objects are background.

## Example
`banner.jpg` beside the dataset's folders, a copy of `JPEGImages/0031.jpg` for the readme.

## When it is wrong
When unannotated images are kept on purpose, for semi-supervised training.
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
    """One finding for each such image, with the copy that has the most boxes as related."""
    copies = evidence.duplicates.filter(pl.col("relation") != scenes.SCENE)
    counted = (
        scenes.scene_of(evidence, copies)
        .join(evidence.boxes.group_by("image").len("boxes"), on="image", how="left", maintain_order="left")
        .with_columns(pl.col("boxes").fill_null(0))
        .join(evidence.images.select("image", "path", "split"), on="image", maintain_order="left")
    )
    best = counted.sort("boxes", descending=True, maintain_order=True).unique("scene", maintain_order=True)
    best = best.filter(pl.col("boxes") > 0).select("scene", "boxes", pl.col("path").alias("other"))
    silent = counted.filter(pl.col("image").is_in(scenes.left_out(evidence).implode())).drop("boxes")
    return findings.rows(
        silent.join(best, on="scene", maintain_order="left"),
        pl.format(
            "has no annotation; {}, a copy of it, has {} {}",
            "other",
            "boxes",
            pl.when(pl.col("boxes") == 1).then(pl.lit("box")).otherwise(pl.lit("boxes")),
        ),
        related=pl.concat_list("other"),
    )


def _example(first: str, second: str) -> Example:
    cat = (Box("cat", 20, 20, 70, 70),)
    return Example(
        (
            Picture("gate.jpg", scene=195, boxes=cat),
            Picture("gate_2.jpg", like="gate.jpg", boxes=cat if first else None),
            Picture("fence.jpg", scene=196, boxes=cat if second else None),
            Picture("wall.jpg", scene=197, boxes=(Box("dog", 30, 30, 90, 80),)),
        ),
        format="voc",
        expect=()
        if first
        else (
            {
                "image": "JPEGImages/gate_2.jpg",
                "related": ["JPEGImages/gate.jpg"],
                "message": "has no annotation; JPEGImages/gate.jpg, a copy of it, has 1 box",
            },
        ),
    )


RULE = Rule(
    code="D010",
    name="copy-without-annotation",
    severity="warning",
    summary="image without annotation is a copy of an annotated one",
    check=check,
    clean=_example("annotated", ""),
    dirty=_example("", "annotated"),
    needs=("pixels", "images", "boxes"),
)
