"""Declared split without images.

## What it does
Looks for a split for training or for validation that a file of the dataset declares and that has no image: an empty
list, a folder without images, a COCO file whose `images` is empty. A list with entries that are missing belongs to
S004; a test split is not looked at, since exports often declare one that was never filled.

## Why it hurts training
The trainer stops when it looks for the images, or validates with nothing and reports a mean average precision of 0,
or not a number.

## Example
`ImageSets/Main/val.txt` is there, and empty.

## When it is wrong
When nobody uses the split. Remove the list, or the key that names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.splits import role
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each declaration of a split for training or validation that nothing fills."""
    references, filled = evidence.dataset.references, set(evidence.dataset.membership["split"])
    # Entries of images that are missing are reported one by one: a list's by S004, an annotation's by A002.
    missing = references.filter(pl.col("image").is_null())
    reported = filled | set(missing["split"].drop_nulls())
    return findings.join(
        [
            findings.one(
                f"declares the split {declared.name}, which has no image"
                + ("" if declared.written == declared.source else f": {declared.written}"),
                annotation=declared.source,
                line=declared.line,
                split=declared.name,
                measured=0,
                limit=1,
                unit="images",
            )
            for declared in evidence.dataset.declared_splits
            if declared.name not in reported and role(declared.name) in {"train", "val"}
        ]
    )


def _example(*, empty: bool) -> Example:
    cat = (Box("cat", 40, 30, 110, 90),)
    return Example(
        (Picture("silo.jpg", scene=285, boxes=cat), Picture("barn.jpg", scene=286, boxes=cat)),
        format="voc",
        files={"ImageSets/Main/val.txt": ""} if empty else {},
        expect=({"annotation": "ImageSets/Main/val.txt", "split": "val", "image": None},) if empty else (),
    )


RULE = Rule(
    code="S006",
    name="empty-split",
    severity="error",
    summary="declared split has no image",
    check=check,
    clean=_example(empty=False),
    dirty=_example(empty=True),
    needs=("images",),
)
