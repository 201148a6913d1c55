"""Unusual pixels.

## What it does
Finds images whose pixels are not plain 8-bit colour or grey: CMYK and other print colours, 16 and 32 bits a
channel, a transparency (alpha) channel, a colour palette, one bit a pixel, and files that hold several
frames or pages.

## Why it hurts training
Loaders disagree on how such pixels become red, green and blue. CMYK may come out inverted; 16 bits are reduced to
their upper or lower half; transparent pixels may become black, white or anything; of several frames the first is
used. The network sees other images than the annotator did.

## Example
A screenshot saved as PNG with an alpha channel, among photographs.

## When it is wrong
When all images are of this kind and your loader is made for it (16-bit X-ray or thermal images, for
instance). Switch the rule off then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from trainworthy_audit.types import Evidence

#: Modes (in Pillow's words) that every loader understands alike.
PLAIN = ("RGB", "L")

KINDS = {
    "1": "one bit a pixel",
    "P": "a colour palette",
    "PA": "a colour palette and transparency",
    "LA": "grey with an alpha channel",
    "La": "grey with an alpha channel",
    "RGBA": "an alpha channel",
    "RGBa": "an alpha channel",
    "RGBX": "a fourth channel",
    "CMYK": "CMYK print colours",
    "YCbCr": "YCbCr colours",
    "LAB": "CIE Lab colours",
    "HSV": "HSV colours",
    "F": "32-bit floating-point grey",
    "I": "32-bit grey",
}


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image, with its mode or its number of frames."""
    mode, frames = pl.col("mode"), pl.col("frames")
    several = (frames > 1) & (pl.col("format") != "jpeg")  # of an MPO every loader reads the first: I011
    kind = mode.replace_strict(KINDS, default=None, return_dtype=pl.String)
    sixteen = pl.when(mode.str.contains("16")).then(pl.format("16 bits a channel ({})", mode))
    unusual = evidence.images.filter(~mode.is_in(PLAIN) | several).with_columns(
        pl.when(~mode.is_in(PLAIN))
        .then(pl.coalesce(kind, sixteen, pl.format("mode {}", mode)))
        .alias("pixels"),
        pl.when(several)
        .then(pl.format("{} frames, of which trainers read the first", frames))
        .alias("several"),
    )
    what = pl.concat_str("pixels", "several", separator=", and ", ignore_nulls=True)
    return findings.rows(
        unusual,
        pl.format("has {}", what),
        measured=pl.when(~mode.is_in(PLAIN)).then(mode).otherwise(pl.format("{} frames", frames)),
        limit="RGB or L, 1 frame",
    )


def _print_colours(image: Image) -> Image:
    return image.convert("CMYK")


def _grey(image: Image) -> Image:
    return image.convert("L")


def _example(edit: Any) -> tuple[Picture, ...]:  # noqa: ANN401 - one of the two above
    dog = (Box("dog", 30, 30, 100, 90),)
    return (Picture("poster.jpg", scene=61, boxes=dog, edit=edit), Picture("wall.jpg", scene=62, boxes=dog))


RULE = Rule(
    code="I006",
    name="unusual-pixels",
    severity="warning",
    summary="pixels are not plain 8-bit colour or grey",
    check=check,
    clean=Example(_example(_grey)),
    dirty=Example(
        _example(_print_colours), expect=({"image": "images/train/poster.jpg", "measured_text": "CMYK"},)
    ),
    needs=("pixels", "images"),
)
