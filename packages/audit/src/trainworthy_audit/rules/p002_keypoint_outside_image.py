"""Keypoint outside the image.

## What it does
Finds objects of which a keypoint lies outside the image, unless it is marked as not annotated (visibility 0, or x
and y both 0).

## Why it hurts training
There is nothing to see where the point is said to be. Trainers drop the whole image, cut the point to the image's
edge, or learn a place that they cannot predict.

## Example
A wrist at x = 1.08 of the image's width, because the arm leaves the image and the annotator guessed.

## When it is wrong
When your trainer predicts hidden joints beyond the image on purpose.
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
    """One finding for each object; measured is how far its furthest keypoint lies outside, in shares of a side."""
    beyond = (pl.col("measured") * 100).round(2)
    return findings.rows(
        shapes.with_flaw(evidence, "outside-image"),
        pl.format("a keypoint lies outside the image, by {} % of its side", beyond),
        measured=pl.col("measured").round(4),
        limit=0.0,
        unit="of the image's side",
    )


def _declared(data: bytes) -> bytes:
    return data + b"kpt_shape: [2, 3]\n"


def _example(x: str) -> dict[str, Any]:
    pose = "0 0.6 0.5 0.6 0.6 0.5 0.4 2 {} 0.5 1\n"
    return {
        "data.yaml": _declared,
        "labels/train/dune.txt": pose.format(x),
        "labels/train/reef.txt": pose.format("0.8"),
    }


_PICTURES = (Picture("dune.jpg", scene=183), Picture("reef.jpg", scene=184))

RULE = Rule(
    code="P002",
    name="keypoint-outside-image",
    severity="warning",
    summary="keypoint lies outside the image",
    check=check,
    clean=Example(_PICTURES, files=_example("0.85")),
    dirty=Example(
        _PICTURES,
        files=_example("1.02"),
        expect=({"image": "images/train/dune.jpg", "line": 1, "box": 0, "measured": 0.02},),
    ),
    needs=("boxes",),
)
