"""Box that does not fit its object.

## What it does
Reports boxes beside which, or only partly in which, a detector finds the object, from the probability
`probability` on, and says where. The detector was trained by `trainworthy probe` on other images of the same
dataset. How probable it is that the box is wrong is learnt from boxes that the probe moves. Without a probe of
this very content the rule does not apply.

## Why it hurts training
Boxes that are loose, cut off or beside the object blur what the network learns of size and place: mAP at high
IoU stays low, and detections at the edge of an IoU of one half count as wrong although the object was found.

## Example
A box of `cat` covers the upper half of the cat.

## When it is wrong
When the object is partly hidden and was annotated as far as it is seen, or as far as it reaches: a detector
learns one of the two from the other boxes. It is one model's opinion: look at the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import suspects
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each of them; measured is the probability."""
    message = pl.format('the box of "{}" does not fit its object: a detector sees it at {}', "label", "place")
    return suspects.report(evidence, "moved", options, message)


def _example(score: float) -> Example:
    suspect = {
        "kind": "moved",
        "image": "images/train/street.jpg",
        "annotation": "labels/train/street.txt",
        "line": 1,
        "box": 0,
        "label": "cat",
        "score": score,
        "suggested": {"label": "cat", "bbox": [30.2, 21, 80.1, 90]},
    }
    return Example(
        (Picture("street.jpg", scene=301, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),),
        settings={"probe": "probe.json"},
        probe={"suspects": [suspect]},
        expect=({"image": "images/train/street.jpg", "box": 0, "line": 1, "label": "cat", "measured": 0.93},)
        if score > 0.5
        else (),
    )


RULE = Rule(
    code="L003",
    name="box-does-not-fit",
    severity="warning",
    summary="box does not fit its object, as a detector sees it",
    check=check,
    clean=_example(0.3),
    dirty=_example(0.93),
    needs=("pixels", "probe"),
    options=(suspects.PROBABILITY,),
)
