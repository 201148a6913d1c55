"""Size mismatch.

## What it does
Compares the width and height that the annotation declares with those of the stored pixels. Where the two
are swapped and the image has an EXIF orientation that turns it by 90 degrees, the message says so.

## Why it hurts training
Boxes are drawn on an image of the declared size. When the file has another size, every box of it is in the wrong
place, and readers that turn corners into fractions by the declared size move them further. Swapped sides mean that
the boxes belong to the image as it was turned on the annotator's screen, not to the pixels that the trainer
decodes.

## Example
The xml says 480 x 640; the file is 640 x 480.

## When it is wrong
When your boxes are right and only the declaration is wrong (some tools write 0 x 0): trainers that ignore the
declared size are not affected. Look at the boxes on the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.dihedral import EXIF_TRANSPOSES
from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image whose size is not the declared one, as 'width x height' in pixels."""
    width, height = pl.col("width").cast(pl.Float64), pl.col("height").cast(pl.Float64)
    declared_width, declared_height = pl.col("declared_width"), pl.col("declared_height")
    wrong = (
        evidence.images.filter(pl.col("status").is_in(["ok", "damaged"]))
        .filter((width != declared_width) | (height != declared_height))
        .with_columns(
            pl.format("{} x {}", "width", "height").alias("real"),
            pl.format("{} x {}", _plain("declared_width"), _plain("declared_height")).alias("declared"),
            ((width == declared_height) & (height == declared_width)).alias("swapped"),
            pl.col("orientation").is_in(EXIF_TRANSPOSES).fill_null(value=False).alias("turned"),
        )
    )
    why = (
        pl.when(pl.col("swapped") & pl.col("turned"))
        .then(
            pl.format(
                ": width and height are swapped, as EXIF orientation {} turns the image on screen. The "
                "boxes were probably drawn on the turned image",
                "orientation",
            )
        )
        .when("swapped")
        .then(pl.lit(": width and height are swapped"))
        .otherwise(pl.lit(""))
    )
    return findings.rows(
        wrong,
        pl.format("is {} px, but its annotation says {}{}", "real", "declared", why),
        measured=pl.col("real"),
        limit=pl.col("declared"),
        unit="px",
    )


def _plain(column: str) -> pl.Expr:
    """640.0 -> '640', 640.5 -> '640.5', null -> '?'."""
    return pl.col(column).cast(pl.String).str.strip_suffix(".0").fill_null("?")


PICTURES = (
    Picture("bench.jpg", scene=41, boxes=(Box("cat", 20, 30, 90, 100),)),
    Picture("fence.jpg", scene=42, boxes=(Box("cat", 40, 20, 100, 80),)),
)


def _swap(xml: bytes) -> bytes:
    return xml.replace(b"<width>160</width><height>120</height>", b"<width>120</width><height>160</height>")


RULE = Rule(
    code="I004",
    name="size-mismatch",
    severity="error",
    summary="size differs from the one that the annotation declares",
    check=check,
    clean=Example(PICTURES, format="voc"),
    dirty=Example(
        PICTURES,
        format="voc",
        files={"Annotations/bench.xml": _swap},
        expect=({"image": "JPEGImages/bench.jpg", "measured_text": "160 x 120", "limit_text": "120 x 160"},),
    ),
    needs=("pixels", "images", "declared-size"),
)
