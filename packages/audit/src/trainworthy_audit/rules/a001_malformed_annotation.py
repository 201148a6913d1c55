"""Malformed annotation.

## What it does
Reports every row, entry or file of annotations that could not be read, with its line and its text, verbatim.
Only the malformed row is lost: the rest of its file is read and checked.

## Why it hurts training
Trainers treat such a row differently. One stops, one skips the row, one drops the whole image with all its good
boxes, and the object whose box is lost is learnt as background. Malformed rows also suggest a broken export, which
may have damaged rows that still look right.

## Example
`0 0.5 0.5 0.2` in a YOLO file: four numbers where five belong.

## When it is wrong
When the row belongs to another task that shares the file, such as keypoints or oriented boxes. Keep those
in separate files, or convert them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each row that could not be read; `text` is the row, the message is the reason."""
    pictures = evidence.images.select("image", "path", "split")
    unread = evidence.dataset.unread.join(pictures, on="image", how="left", maintain_order="left")
    return findings.rows(unread, pl.col("reason"), text=pl.col("text"))


_PICTURES = (
    Picture("porch.jpg", scene=101, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("garden.jpg", scene=102, boxes=(Box("cat", 30, 20, 100, 70),)),
)

RULE = Rule(
    code="A001",
    name="malformed-annotation",
    severity="error",
    summary="annotation cannot be read",
    check=check,
    clean=Example(_PICTURES),
    dirty=Example(
        _PICTURES,
        files={"labels/train/garden.txt": lambda rows: rows + b"1 0.5 0.5 0.2\n"},
        expect=(
            {
                "image": "images/train/garden.jpg",
                "annotation": "labels/train/garden.txt",
                "line": 2,
                "text": "1 0.5 0.5 0.2",
            },
        ),
    ),
)
