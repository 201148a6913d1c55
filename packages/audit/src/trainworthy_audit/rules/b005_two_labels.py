"""Same box, another class.

## What it does
Finds boxes in the same place, with an IoU of at least `iou`, that have different labels. The later one is
reported, and the message names the earlier one and its label.

## Why it hurts training
One of the two labels is usually wrong: somebody corrected a label by drawing a new box and forgot to delete the
old one, or two exports were merged. A detector with one softmax over all classes is penalised whatever it
predicts.

## Example
`0 0.5 0.5 0.2 0.2` and `1 0.5 0.5 0.2 0.2` in one file.

## When it is wrong
When objects carry several labels on purpose, such as "person" and "driver", and the network is trained with
independent (sigmoid) scores, as YOLOv3 is.

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
    """One finding for each box in the place of an earlier one of another label; measured is their IoU."""
    found = overlaps.find(evidence, iou=options["iou"], same_label=False)
    return findings.rows(
        found,
        pl.format("{} lies on box {}, which is {}", "own_label", "other", "other_label"),
        measured=pl.col("iou").round(4),
        limit=options["iou"],
        unit="IoU",
    )


_PICTURES = (
    Picture("cellar.jpg", scene=126, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("loft.jpg", scene=127, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="B005",
    name="two-labels",
    severity="warning",
    summary="box has the place of another with another label",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        (
            _PICTURES[0],
            Picture("loft.jpg", scene=127, boxes=(*(_PICTURES[1].boxes or ()), Box("dog", 30, 20, 100, 70))),
        ),
        expect=(
            {
                "image": "images/train/loft.jpg",
                "annotation": "labels/train/loft.txt",
                "line": 3,
                "box": 2,
                "label": "dog",
                "message": "dog lies on box 0 (line 1), which is cat",
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
