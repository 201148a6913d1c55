"""Impossible visibility.

## What it does
Finds objects of which a keypoint's visibility is not 0 (not annotated), 1 (annotated, hidden) or 2 (visible).

## Why it hurts training
The number decides whether a keypoint counts. Confidences of a model, or coordinates that slipped into its place
because a number is missing in the row, make keypoints count that should not, and the reverse.

## Example
`0.87` where a 2 belongs: the row was written by a model, not by an annotator.

## When it is wrong
When your trainer takes any number above 0 for visible, and yours are meant so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, shapes
from trainworthy_audit.types import Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each object; measured is the first visibility that is none."""
    return findings.rows(
        shapes.with_flaw(evidence, "visibility"),
        pl.format(
            "the visibility of a keypoint is {}, not 0, 1 or 2", findings.number(pl.col("measured"), 4)
        ),
        measured=pl.col("measured"),
        limit="0, 1 or 2",
    )


def _declared(data: bytes) -> bytes:
    return data + b"kpt_shape: [2, 3]\n"


def _example(visibility: str) -> dict[str, Any]:
    pose = "0 0.4 0.5 0.4 0.6 0.3 0.4 2 0.5 0.5 {}\n"
    return {
        "data.yaml": _declared,
        "labels/train/barn.txt": pose.format(visibility),
        "labels/train/shed.txt": pose.format("1"),
    }


_PICTURES = (Picture("barn.jpg", scene=187), Picture("shed.jpg", scene=188))

RULE = Rule(
    code="P004",
    name="impossible-visibility",
    severity="warning",
    summary="visibility of a keypoint is not 0, 1 or 2",
    check=check,
    clean=Example(_PICTURES, files=_example("0")),
    dirty=Example(
        _PICTURES,
        files=_example("0.87"),
        expect=({"image": "images/train/barn.jpg", "line": 1, "box": 0, "measured": 0.87},),
    ),
    needs=("boxes",),
)
