"""Validation or test images that look unlike those for training.

## What it does
Compares the images of two splits by what a network with ImageNet weights makes of them, and asks how probable
so large a difference would be if scenes had been dealt out to the splits by chance. Reports a split where that
probability is below `p-value`. The comparison is part of `trainworthy probe`; without a probe of this very
content the rule does not apply.

## Why it hurts training
Validation chooses the best weights and tells when to stop. Where it shows other places, seasons or cameras than
training, its mAP says how well the network does elsewhere, which may be what you want to know; but a low mAP
then has a second reason besides the training, and a test split unlike both is no measure of either.

## Example
Training images were taken by day, those for validation at night.

## When it is wrong
When the split is meant to be so, to measure how a detector does in a place that it never saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence


#: What a probe calls each comparison, and how a sentence does.
SPLITS = {"validation_unlike_training": "validation", "test_unlike_training": "test"}


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each split that is unlike training; measured is the p-value."""
    assert evidence.probe is not None
    compared = [(SPLITS[name], value) for name, value in evidence.probe.splits.items() if name in SPLITS]
    return findings.join(
        [
            findings.one(
                f"images for {name} look unlike those for training: chance would make them so unlike with a "
                f"probability of {value:.3g}",
                measured=round(value, 6),
                limit=options["p-value"],
                unit="p-value",
            )
            for name, value in compared
            if value < options["p-value"]
        ]
    )


def _example(p_value: float) -> Example:
    return Example(
        (
            Picture(
                "street.jpg", scene=301, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))
            ),
            Picture(
                "yard.jpg",
                scene=302,
                split="val",
                boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100)),
            ),
        ),
        settings={"probe": "probe.json"},
        probe={"suspects": [], "splits": {"validation_unlike_training": p_value}},
        expect=({"image": None, "measured": 0.001},) if p_value < 0.01 else (),
    )


RULE = Rule(
    code="L008",
    name="split-unlike-training",
    severity="warning",
    summary="images of a split look unlike those for training",
    check=check,
    clean=_example(0.4),
    dirty=_example(0.001),
    needs=("pixels", "probe"),
    options=(
        Option(
            "p-value",
            0.01,
            "below which probability the difference is not chance, 0..1",
            "one sound split in a hundred would be reported",
        ),
    ),
)
