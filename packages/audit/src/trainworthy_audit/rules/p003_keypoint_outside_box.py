"""Keypoint outside its box.

## What it does
Finds objects of which a keypoint lies far outside their own box.

## Why it hurts training
Box and keypoints are of two objects then, or one of them was moved, resized or counted from another corner. Trainers
predict keypoints from what is inside the box.

## Example
The keypoints of the person on the left, in the row with the box of the person on the right.

## When it is wrong
When boxes are drawn around one part only, such as heads, and keypoints are those of the whole body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, shapes
from trainworthy_audit.types import Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each object; measured is how far its furthest keypoint lies outside, in shares of its side."""
    far = shapes.with_flaw(evidence, "outside-box").filter(pl.col("measured") > options["beyond"])
    return findings.rows(
        far,
        pl.format(
            "a keypoint lies outside the box of its object, by {} % of the box's side",
            (pl.col("measured") * 100).round(1),
        ),
        measured=pl.col("measured").round(4),
        limit=options["beyond"],
        unit="of the box's side",
    )


def _declared(data: bytes) -> bytes:
    return data + b"kpt_shape: [2, 2]\n"


def _example(x: str) -> dict[str, Any]:
    pose = "1 0.4 0.5 0.4 0.6 0.3 0.4 {} 0.5\n"
    return {
        "data.yaml": _declared,
        "labels/train/mill.txt": pose.format(x),
        "labels/train/weir.txt": pose.format("0.5"),
    }


_PICTURES = (Picture("mill.jpg", scene=185), Picture("weir.jpg", scene=186))

RULE = Rule(
    code="P003",
    name="keypoint-outside-box",
    severity="warning",
    summary="keypoint lies far outside its box",
    check=check,
    clean=Example(_PICTURES, files=_example("0.62")),
    dirty=Example(
        _PICTURES,
        files=_example("0.8"),
        expect=({"image": "images/train/mill.jpg", "line": 1, "box": 0, "measured": 0.5},),
    ),
    needs=("boxes",),
    options=(
        Option(
            "beyond",
            0.25,
            "how far outside its box a keypoint may lie, in shares of the box's side",
            "joints that are covered by something are often marked a little outside the box of what is seen; a "
            "quarter of the box is more than that",
        ),
    ),
)
