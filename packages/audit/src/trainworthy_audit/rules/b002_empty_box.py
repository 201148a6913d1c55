"""Box of zero or negative size.

## What it does
Finds boxes whose width or height is zero or negative: the right edge is not to the right of the left one,
or the bottom edge is not below the top one. In Pascal VOC that is `xmax <= xmin` or `ymax <= ymin`.

## Why it hurts training
Such a box contains no pixels. Its IoU with anything is 0, the logarithm of its sides, which some losses use, is
minus infinity, and a single one can turn a whole run into NaN. Trainers that guard against this drop the box, and
the object is then learnt as background.

## Example
`<xmin>504</xmin> ... <xmax>504</xmax>`: a click without a drag.

## When it is wrong
In data that marks points rather than boxes. Give points a small size before you train a box detector on
them.
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
    """One finding for each box without extent; measured is its smaller side, negative if swapped.

    In pixels, or as a share of the image.
    """
    unit = "of the image" if evidence.in_shares else "px"
    width, height = pl.col("x2") - pl.col("x1"), pl.col("y2") - pl.col("y1")
    without = evidence.boxes.filter(
        "finite", ~pl.col("unit_error"), (width <= 0) | (height <= 0)
    ).with_columns(width.alias("width"), height.alias("height"))
    size = pl.format(
        "{} x {} {}", findings.number(pl.col("width")), findings.number(pl.col("height")), pl.lit(unit)
    )
    message = (
        pl.when((pl.col("width") < 0) | (pl.col("height") < 0))
        .then(pl.format("box is {}: opposite edges are swapped", size))
        .otherwise(pl.format("box is {}: it contains no pixels", size))
    )
    return findings.rows(without, message, measured=pl.min_horizontal("width", "height"), limit=0, unit=unit)


_PICTURES = (
    Picture("shed.jpg", scene=120, boxes=(Box("cat", 20, 30, 80, 90), Box("dog", 95, 40, 145, 100))),
    Picture("barn.jpg", scene=121, boxes=(Box("cat", 30, 20, 100, 70), Box("dog", 50, 75, 120, 110))),
)

RULE = Rule(
    code="B002",
    name="empty-box",
    severity="error",
    summary="box has zero or negative size",
    check=check,
    clean=Example(_PICTURES, format="voc"),
    dirty=Example(
        _PICTURES,
        format="voc",
        files={
            "Annotations/barn.xml": lambda xml: xml.replace(b"<xmax>120</xmax>", b"<xmax>51</xmax>"),
        },
        expect=(
            {
                "image": "JPEGImages/barn.jpg",
                "annotation": "Annotations/barn.xml",
                "box": 1,
                "label": "dog",
                "measured": 0.0,
                "limit": 0.0,
            },
        ),
    ),
    needs=("boxes",),
)
