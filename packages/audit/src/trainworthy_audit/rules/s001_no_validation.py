"""No validation split.

## What it does
Looks for a validation split, by its name: `val`, `valid`, `validation`, `eval` or `dev`, also with a year or a
prefix (`val2017`). A test split does not count: it should be used only once, at the end.

## Why it hurts training
Without images that are kept out of training, it is impossible to tell whether the network learns or memorises, when
to stop, or which of its weights are best.

## Example
All 200 images lie in one folder, and no list divides them.

## When it is wrong
When your trainer divides the dataset itself. Make sure that it keeps copies and neighbouring frames
together, as `trainworthy split` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings
from trainworthy_audit.splits import with_role
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or none."""
    splits = evidence.dataset.splits
    if with_role(splits, "val"):
        return findings.NONE
    has = f"it has only {', '.join(splits)}" if len(splits) > 1 else "it is not divided"
    return findings.one(f"the dataset has no split for validation: {has}", measured=0, limit=1, unit="splits")


def _example(split: str) -> Example:
    cat = (Box("cat", 40, 30, 110, 90),)
    return Example(
        (Picture("lamp.jpg", scene=241, boxes=cat), Picture("desk.jpg", scene=242, boxes=cat, split=split)),
        expect=({"image": None, "measured": 0.0},) if split == "train" else (),
    )


RULE = Rule(
    code="S001",
    name="no-validation",
    severity="info",
    summary="dataset has no split for validation",
    check=check,
    clean=_example("val"),
    dirty=_example("train"),
    needs=("images",),
)
