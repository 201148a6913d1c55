"""Split without a label.

## What it does
Looks for a split for training or for validation in which no image has a box that a trainer would use, while the
rest of the dataset has some. All splits of one purpose (`val` and `minival`) are counted together.

## Why it hurts training
A validation split without a box measures nothing: precision, recall and mean average precision are 0 from the first
epoch to the last, early stopping ends the training at a random point, and the weights that are kept as the best are
any. A training split without a box teaches that nothing is an object.

## Example
`images/val` holds 60 images, and `labels/val` was not exported.

## When it is wrong
When validation is meant to count false alarms on background only. Name that split otherwise, such as `background`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings, usable
from trainworthy_audit.splits import Role, role
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence

_PURPOSE: dict[Role, str] = {"train": "learn from", "val": "measure with"}


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each split of a purpose none of whose splits has a box."""
    if not usable.boxes(evidence.boxes).height:  # A009 says so of the whole dataset
        return findings.NONE
    return findings.join(
        [
            findings.one(
                "; ".join(
                    (f"{_shown(images)} and no box to {_PURPOSE[role(split)]}", *evidence.dataset.leads)
                ),
                split=split,
                measured=0,
                limit=1,
                unit="boxes",
            )
            for split, images in usable.unlabelled_splits(evidence.dataset).items()
        ]
    )


def _shown(images: int) -> str:
    return f"the split has {images:,} images" if images > 1 else "the split has 1 image"


_CAT = (Box("cat", 40, 30, 110, 90),)
_PICTURES = (
    Picture("dyke.jpg", scene=281, boxes=_CAT),
    Picture("moor.jpg", scene=282, boxes=()),
    Picture("fell.jpg", scene=283, boxes=_CAT, split="val"),
    Picture("crag.jpg", scene=284, boxes=(), split="val"),
)

RULE = Rule(
    code="S005",
    name="split-without-labels",
    severity="error",
    summary="split for training or validation has no box",
    check=check,
    clean=Example(_PICTURES, classes=("cat",)),
    dirty=Example(
        _PICTURES,
        classes=("cat",),
        files={"labels/val/fell.txt": ""},
        expect=({"split": "val", "measured": 0.0, "limit": 1.0},),
    ),
    needs=("boxes", "splits"),
)
