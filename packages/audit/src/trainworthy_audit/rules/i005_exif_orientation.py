"""EXIF orientation.

## What it does
Finds images whose EXIF data says that they must be turned or mirrored before they are shown (orientation
2 to 8), and those whose orientation is a number that does not exist.

## Why it hurts training
Some tools apply the orientation and some ignore it. An annotator who sees the turned image draws boxes that do not
fit the stored pixels, which the trainer decodes; a detector that is trained on one and run on the other sees
objects lying on their side.

## Example
A phone stores 4000 x 3000 pixels and orientation 6; viewers show 3000 x 4000.

## When it is wrong
When your annotation tool and your trainer always treat the orientation alike. Turning the pixels and removing the
entry (`trainworthy resize`) settles the question.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

UNKNOWN = "which does not exist (1 to 8 do): each tool guesses for itself"

SHOWN = {
    2: "shown mirrored left to right",
    3: "shown upside down",
    4: "shown mirrored top to bottom",
    5: "shown mirrored and turned by 90 degrees",
    6: "shown turned 90 degrees clockwise",
    7: "shown mirrored and turned by 270 degrees",
    8: "shown turned 90 degrees counter-clockwise",
}


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image whose orientation is set to anything but 1."""
    turned = evidence.images.filter(pl.col("orientation") != 1).with_columns(
        pl.col("orientation").replace_strict(SHOWN, default=UNKNOWN, return_dtype=pl.String).alias("shown")
    )
    return findings.rows(
        turned,
        pl.format("EXIF orientation is {}, {}", "orientation", "shown"),
        measured=pl.col("orientation"),
        limit=1,
    )


def _example(orientation: int) -> Example:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    cat = (Box("cat", 30, 40, 90, 100),)
    return Example(
        (
            Picture("stairs.jpg", scene=51, boxes=cat, save={"exif": exif}),
            Picture("window.jpg", scene=52, boxes=cat),
        ),
        expect=({"image": "images/train/stairs.jpg", "measured": 6.0},) if orientation != 1 else (),
    )


RULE = Rule(
    code="I005",
    name="exif-orientation",
    severity="warning",
    summary="EXIF turns or mirrors the image on some screens and not on others",
    check=check,
    clean=_example(1),
    dirty=_example(6),
    needs=("pixels", "images"),
)
