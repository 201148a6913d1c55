"""No negatives.

## What it does
Reports when the dataset has no image that is annotated as empty: an image of the usual surroundings without any
object.

## Why it hurts training
A network that has never seen an image without objects expects one in each, and finds it: in shadows, poles and
reflections. A few percent of negatives cost little and remove many of these false positives.

## Example
500 images of stop signs, and none of a street without a sign.

## When it is wrong
When every image that the model will see does contain an object, or large parts of the images are empty anyway, as
around small objects. It is advice, not a defect.
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
    images = evidence.dataset.images
    filled = pl.concat(
        [evidence.dataset.boxes["image"], evidence.dataset.unread["image"].drop_nulls()]
    ).unique()
    empty = images.filter(~pl.col("image").is_in(filled.implode()))
    if empty["annotation"].is_not_null().any() or evidence.dataset.unreadable_annotation:
        return findings.NONE
    have = "other has" if empty.height == 1 else "others have"
    unsaid = f" ({empty.height:,} {have} no annotation at all: see A003)" if empty.height else ""
    return findings.one(
        f"no image is annotated as empty{unsaid}: some pictures without any object reduce false alarms",
        measured=0,
        limit=1,
        unit="images",
    )


def _example(*empty: Picture) -> Example:
    cat = (Box("cat", 40, 30, 110, 90),)
    return Example(
        (Picture("sofa.jpg", scene=221, boxes=cat), Picture("chair.jpg", scene=222, boxes=cat), *empty),
        expect=({"image": None, "measured": 0.0},) if not empty else (),
    )


RULE = Rule(
    code="N003",
    name="no-negatives",
    severity="info",
    summary="no image is annotated as empty",
    check=check,
    clean=_example(Picture("floor.jpg", scene=223)),
    dirty=_example(),
    needs=("images",),
)
