"""Dataset without a box to learn from.

## What it does
Reports a dataset of which no image has a box that a trainer would use: no annotation was found, all are empty, or
every box is a crowd (COCO's `iscrowd`), which trainers leave out. It names the folders that may hold the labels, and
were not read.

## Why it hurts training
Every image becomes background. The loss falls, no object is ever found, and the mean average precision stays at 0:
hours later the cause is a folder called `label`.

## Example
`images/` and `label/`, where trainers look into `labels/` only.

## When it is wrong
When the images are meant to be background only, to be merged with a dataset that has boxes. Audit what was merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings, usable
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Dataset, Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for the dataset, or none."""
    if usable.boxes(evidence.boxes).height:
        return findings.NONE
    images = evidence.dataset.images.height
    shown = f"{images:,} images have" if images > 1 else "the image has"
    message = "; ".join(
        (f"{shown} no box that a trainer would use: {_why(evidence)}", *evidence.dataset.leads)
    )
    return findings.one(message, measured=0, limit=1, unit="boxes", related=evidence.dataset.unread_files[:3])


def _why(evidence: Evidence) -> str:
    """Why there is none, a phrase."""
    dataset = evidence.dataset
    crowds = usable.of_images(evidence.boxes).height
    if crowds:
        return f"all {crowds:,} boxes are crowds, which trainers leave out"
    if dataset.unread.height:
        return f"of their annotations {dataset.unread.height:,} rows or files could not be read (A001)"
    return _without_boxes(dataset)


def _without_boxes(dataset: Dataset) -> str:
    annotations = dataset.images["annotation"].drop_nulls().n_unique()
    if not annotations:
        return "no annotation of them was found"
    return (
        f"{annotations:,} annotation files hold none"
        if annotations > 1
        else "their annotation file holds none"
    )


_PICTURES = (
    Picture("kiln.jpg", scene=279, boxes=(Box("cat", 20, 30, 80, 90),)),
    Picture("loom.jpg", scene=280, boxes=()),
)

RULE = Rule(
    code="A009",
    name="no-boxes",
    severity="error",
    summary="dataset has no box to learn from",
    check=check,
    clean=Example(_PICTURES, classes=("cat",)),
    dirty=Example(
        _PICTURES,
        classes=("cat",),
        files={"labels/train/kiln.txt": ""},
        expect=({"image": None, "measured": 0.0, "limit": 1.0},),
    ),
    needs=("images",),
)
