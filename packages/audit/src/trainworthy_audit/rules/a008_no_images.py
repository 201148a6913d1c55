"""Dataset without images.

## What it does
Reports a dataset that was recognised and of which no image is there: labels that were exported without their
pictures, a COCO file whose list of images is empty, a listing that came back short.

## Why it hurts training
There is nothing to train on. Some trainers say so after they have loaded everything, others train on nothing, and
call it a success.

## Example
`annotations/instances_train.json` with 8 images, and no folder that holds them.

## When it is wrong
When the images lie elsewhere. Audit the folder that holds both the images and their annotations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or none."""
    if evidence.dataset.images.height:
        return findings.NONE
    if evidence.dataset.annotations_only:  # a file that cannot be read is A001, and may declare any number
        return findings.NONE if evidence.dataset.unread.height else _none_declared()
    missing = evidence.dataset.references.filter(pl.col("image").is_null())["written"].n_unique()
    mentioned = (
        f": its files mention {missing:,} that are not here; with --no-images the annotations alone are audited"
        if missing
        else ""
    )
    return findings.one(f"the dataset has no image{mentioned}", measured=0, limit=1, unit="images")


def _none_declared() -> pl.DataFrame:
    return findings.one("the annotations declare no image", measured=0, limit=1, unit="images")


_CAT = (Box("cat", 40, 30, 110, 90),)
_PICTURES = (
    Picture("pier.jpg", scene=277, boxes=_CAT),
    Picture("buoy.jpg", scene=278, boxes=_CAT, split="val"),
)

RULE = Rule(
    code="A008",
    name="no-images",
    severity="error",
    summary="dataset has no image",
    check=check,
    clean=Example(_PICTURES, format="coco"),
    dirty=Example(
        (),
        format="coco",
        files={
            "annotations/instances_train.json": '{"images": [], "annotations": [], '
            '"categories": [{"id": 1, "name": "cat"}]}'
        },
        expect=({"image": None, "measured": 0.0, "limit": 1.0},),
    ),
)
