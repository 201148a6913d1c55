"""Object with two boxes.

## What it does
Reports boxes on objects that have another box already, drawn in another style, so that B004 does not see a
repetition: from the probability `probability` on. The detector was trained by `trainworthy probe` on other
images of the same dataset. How probable it is that the box is one too many is learnt from second boxes that the
probe adds. Without a probe of this very content the rule does not apply.

## Why it hurts training
Of two boxes on one object a detector finds one, since it suppresses overlapping detections: the other counts as
missed. Where two styles were drawn (with and without the tail), the network learns neither.

## Example
A cat has a box around its body and another one around body and tail.

## When it is wrong
When there are two objects, one in front of the other, or one within the other by intention (a face in a
person). It is one model's opinion: look at the picture.
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
    message = pl.format('a detector sees one object in the box of "{}" and in another box', "label")
    return suspects.report(evidence, "double", options, message)


def _example(score: float) -> Example:
    suspect = {
        "kind": "double",
        "image": "images/train/street.jpg",
        "annotation": "labels/train/street.txt",
        "line": 1,
        "box": 0,
        "label": "cat",
        "score": score,
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
    code="L005",
    name="object-boxed-twice",
    severity="warning",
    summary="second box on one object, as a detector sees it",
    check=check,
    clean=_example(0.3),
    dirty=_example(0.93),
    needs=("pixels", "probe"),
    options=(suspects.PROBABILITY,),
)
