"""Truncated objects.

## What it does
Lists the boxes that are flagged `truncated` (the object extends beyond the box, mostly beyond the image's
edge), and reports each label whose share of them is above the limit.

## Why it hurts training
Half a dog looks different from a dog: with many of them, the network learns parts instead of whole objects, and
its boxes follow. The trainers' documentation asks for at most 20 % of truncated objects a label.

## Example
59 of 217 boxes of a label, 27 %, are flagged truncated.

## When it is wrong
When the camera that the model will work with cuts off as many objects. Then they belong in training.
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
    """One finding for each label of which too large a share is truncated, then one for each truncated box."""
    return flags.check(evidence, "truncated", options["share"])


def _example(truncated: int) -> Example:
    cut = Box("cat", 100, 30, 160, 90, {"truncated": truncated, "difficult": 0})
    whole = Box("cat", 20, 20, 80, 80, {"truncated": 0, "difficult": 0})
    path = {"image": "JPEGImages/edge.jpg", "label": "cat"}
    return Example(
        (
            Picture("edge.jpg", scene=161, boxes=(whole, cut)),
            Picture("middle.jpg", scene=162, boxes=(whole,)),
        ),
        format="voc",
        expect=({"image": None, "label": "cat", "measured": 0.333, "limit": 0.2}, {**path, "box": 1})
        if truncated
        else (),
    )


RULE = Rule(
    code="O001",
    name="truncated-objects",
    severity="info",
    summary="object is flagged truncated, or too many of a label are",
    check=check,
    clean=_example(0),
    dirty=_example(1),
    needs=("boxes", "truncated"),
    options=(
        Option(
            "share",
            0.2,
            "largest share of a label's boxes that may be flagged truncated",
            "the trainers' documentation (at most 20 % of truncated objects)",
        ),
    ),
)
