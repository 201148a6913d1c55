"""Oriented box that is none.

## What it does
Finds oriented boxes whose four corners are not those of a turned rectangle: opposite sides differ, corners stand in
the wrong order, or all lie on one line. In shares of the image's sides a turned rectangle is a parallelogram; that is
what is tested.

## Why it hurts training
Trainers fit a rectangle to the corners, which is another one than the annotator drew: larger, or turned otherwise.

## Example
Corners in the order top left, top right, bottom left, bottom right, which cross.

## When it is wrong
When quadrilaterals are meant, such as number plates seen from the side, and your trainer learns corners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.evidence import findings, shapes
from trainworthy_audit.types import Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each oriented box."""
    return findings.rows(
        shapes.with_flaw(evidence, "not-a-rectangle"),
        "the four corners of the oriented box are not those of a turned rectangle",
    )


_PICTURES = tuple(Picture(f"ship{k}.jpg", scene=190 + k) for k in range(3))
_SOUND = "0 0.4 0.2 0.7 0.4 0.5 0.7 0.2 0.5\n"
_FILES = {f"labels/train/ship{k}.txt": _SOUND for k in range(3)}

RULE = Rule(
    code="P005",
    name="oriented-box-not-rectangle",
    severity="warning",
    summary="corners of an oriented box are not a rectangle",
    check=check,
    clean=Example(_PICTURES, files=_FILES),
    dirty=Example(
        _PICTURES,
        files=_FILES | {"labels/train/ship1.txt": "0 0.4 0.2 0.7 0.4 0.2 0.5 0.5 0.7\n"},
        expect=({"image": "images/train/ship1.jpg", "line": 1, "box": 0},),
    ),
    needs=("boxes",),
)
