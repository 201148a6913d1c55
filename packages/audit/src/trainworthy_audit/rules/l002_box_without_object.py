"""Box without an object.

## What it does
Reports boxes in which a detector finds no object, from the probability `probability` on. The detector was
trained by `trainworthy probe` on other images of the same dataset. How probable it is that nothing is there is
learnt from boxes that the probe adds on background. Without a probe of this very content the rule does not
apply.

## Why it hurts training
A box on background teaches the network to see objects where there are none: precision falls, and the loss stays
high.

## Example
A box of `cat` lies on an empty wall.

## When it is wrong
When the object is there and hard to see: dark, hidden, a few pixels large, or unlike all others of its label.
Then the label is right and precious. It is one model's opinion: look at the picture.
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
    message = pl.format('a detector sees no object in the box of "{}"', "label")
    return suspects.report(evidence, "spurious", options, message)


def _example(score: float) -> Example:
    suspect = {
        "kind": "spurious",
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
    code="L002",
    name="box-without-object",
    severity="warning",
    summary="box without an object, as a detector sees it",
    check=check,
    clean=_example(0.3),
    dirty=_example(0.93),
    needs=("pixels", "probe"),
    options=(suspects.PROBABILITY,),
)
