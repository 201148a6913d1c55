"""Doubtful label.

## What it does
Reports boxes whose object a detector takes for another label than theirs, from the probability `probability`
on. The detector was trained by `trainworthy probe` on other images of the same dataset. How probable it is that
the label is wrong is learnt from labels that the probe exchanges. Without a probe of this very content the rule
does not apply.

## Why it hurts training
A wrong label costs twice: the object is missing from its own label, and teaches another one to look like it.
Confused labels raise the classification loss, and it stays high.

## Example
A box around a dog is labelled `cat`.

## When it is wrong
When two labels look alike at the size that the detector saw, or differ by what the picture does not show. Then
many findings concern the same two labels: ask whether people can tell them apart. It is one model's opinion:
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
    message = pl.format('the box is labelled "{}", and a detector sees "{}"', "label", "suggested_label")
    return suspects.report(evidence, "label", options, message)


def _example(score: float) -> Example:
    suspect = {
        "kind": "label",
        "image": "images/train/street.jpg",
        "annotation": "labels/train/street.txt",
        "line": 1,
        "box": 0,
        "label": "cat",
        "score": score,
        "suggested": {"label": "dog", "bbox": [20, 30, 80, 90]},
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
    code="L004",
    name="doubtful-label",
    severity="warning",
    summary="label of a box is doubtful, as a detector sees it",
    check=check,
    clean=_example(0.3),
    dirty=_example(0.93),
    needs=("pixels", "probe"),
    options=(suspects.PROBABILITY,),
)
