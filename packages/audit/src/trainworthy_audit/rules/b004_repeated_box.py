"""Repeated box.

## What it does
Finds boxes that occur twice in one image: the same label, and so nearly the same place that their IoU is at
least `iou`. The later one is reported, and the message names the earlier one.

## Why it hurts training
The object counts twice in the loss, and in evaluation the second copy is always missed: non-maximum suppression
keeps one detection for the two. Repeats come from double clicks, from merged exports, and from augmentation that
was run twice.

## Example
Lines 1 and 3 of a label file are equal.

## When it is wrong
When two objects of one label really occupy the same place, such as a reflection in a window or a person behind
another.

## How it is found
Boxes are compared within their image only; of boxes with nearly the same left edge, each with its next
1,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings, overlaps
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each box that repeats an earlier one of its label; measured is their IoU."""
    found = overlaps.find(evidence, iou=options["iou"], same_label=True)
    return findings.rows(
        found,
        pl.format("box repeats box {}", "other"),
        measured=pl.col("iou").round(4),
        limit=options["iou"],
        unit="IoU",
    )


_PICTURES = (
    Picture("lane.jpg", scene=124, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("alley.jpg", scene=125, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="B004",
    name="repeated-box",
    severity="warning",
    summary="box repeats another of its label",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        (
            _PICTURES[0],
            Picture("alley.jpg", scene=125, boxes=(*(_PICTURES[1].boxes or ()), Box("cat", 30, 20, 101, 70))),
        ),
        expect=(
            {
                "image": "images/train/alley.jpg",
                "annotation": "labels/train/alley.txt",
                "line": 3,
                "box": 2,
                "label": "cat",
                "message": "box repeats box 0 (line 1)",
            },
        ),
    ),
    needs=("boxes",),
    options=(
        Option(
            "iou",
            0.95,
            "from which intersection over union on two boxes count as the same",
            "the strictest threshold at which COCO's mAP tells a hit from a miss: beyond it even the "
            "evaluation cannot tell the two boxes apart",
        ),
    ),
)
