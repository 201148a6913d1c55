"""Difficult objects.

## What it does
Lists the boxes that are flagged `difficult` (the annotator had to look twice, or to guess from the surroundings),
and reports each label whose share of them is above the limit.

## Why it hurts training
Pascal VOC's evaluation ignores difficult objects; many trainers do not know the flag and train on them, or drop the
objects and so teach that they are background. Where a large share of a label is difficult, its measured quality is
that of the easy rest.

## Example
38 of 273 boxes are flagged difficult: far-off cars of a few pixels.

## When it is wrong
When your trainer handles the flag, and the share is what your scenes are like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import flags
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each label of which too large a share is difficult, then one for each difficult box."""
    return flags.check(evidence, "difficult", options["share"])


def _example(difficult: int) -> Example:
    near = Box("dog", 20, 20, 80, 80, {"truncated": 0, "difficult": 0})
    far = Box("dog", 100, 30, 140, 70, {"truncated": 0, "difficult": difficult})
    place = {"image": "JPEGImages/field.jpg", "label": "dog", "box": 1}
    return Example(
        (Picture("field.jpg", scene=171, boxes=(near, far)), Picture("meadow.jpg", scene=172, boxes=(near,))),
        format="voc",
        expect=({"image": None, "label": "dog", "measured": 0.333, "limit": 0.2}, place) if difficult else (),
    )


RULE = Rule(
    code="O002",
    name="difficult-objects",
    severity="info",
    summary="object is flagged difficult, or too many of a label are",
    check=check,
    clean=_example(0),
    dirty=_example(1),
    needs=("boxes", "difficult"),
    options=(
        Option(
            "share",
            0.2,
            "largest share of a label's boxes that may be flagged difficult",
            "our choice: the share that the trainers' documentation allows truncated objects (O001)",
        ),
    ),
)
