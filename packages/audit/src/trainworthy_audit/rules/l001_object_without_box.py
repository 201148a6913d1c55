"""Object without a box.

## What it does
Reports objects that a detector finds in an image and that have no box there, from the probability `probability`
on. The detector was trained by `trainworthy probe` on other images of the same dataset, and never saw the one
that it judges. How probable it is that the object was left out is learnt from boxes that the probe removes and
finds again. Without a probe of this very content the rule does not apply.

## Why it hurts training
Whatever has no box is background to the network: it is taught not to find what it is to find. A few per cent of
objects left out cost recall, most of all for objects that are small or crowded.

## Example
`street.jpg` shows two cats, and one of them has a box.

## When it is wrong
When the object is rightly left out, because it is beyond what was to be annotated (too far, cut off, in a
mirror), or when the detector has learnt something that only looks like the object. It is one model's opinion:
look at the picture.
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
    message = pl.format('a detector sees "{}" at {}, and no box is there', "suggested_label", "place")
    return suspects.report(evidence, "missing", options, message)


def _example(score: float) -> Example:
    suspect = {
        "kind": "missing",
        "image": "images/train/street.jpg",
        "score": score,
        "suggested": {"label": "cat", "bbox": [92.4, 35.1, 141.2, 98.8]},
    }
    return Example(
        (Picture("street.jpg", scene=301, boxes=(Box("cat", 20, 30, 80, 90),)),),
        settings={"probe": "probe.json"},
        probe={"suspects": [suspect]},
        expect=({"image": "images/train/street.jpg", "box": None, "measured": 0.93},) if score > 0.5 else (),
    )


RULE = Rule(
    code="L001",
    name="object-without-box",
    severity="warning",
    summary="object without a box, as a detector sees it",
    check=check,
    clean=_example(0.3),
    dirty=_example(0.93),
    needs=("pixels", "probe"),
    options=(suspects.PROBABILITY,),
)
