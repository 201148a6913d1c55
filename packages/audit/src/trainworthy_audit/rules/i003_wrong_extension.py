r"""Wrong extension.

## What it does
Compares the extension of each image with what the file's first bytes say it is. The spellings of one format
count as the same: `.jpg`, `.jpeg`, `.jpe` and `.jfif`; `.tif` and `.tiff`; `.bmp` and `.dib`.

## Why it hurts training
Loaders that choose the decoder by the name fail, or skip the file. Those that look at the content read it,
so two machines train on different images. A PNG among JPEGs may also have an alpha channel or 16 bits.

## Example
`0012.jpg` begins with `\x89PNG`: it was renamed, not converted.

## When it is wrong
When every loader that will ever read the dataset goes by the content. Renaming the file costs nothing, though.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Evidence

#: The format that an extension promises; other extensions are not checked.
PROMISED = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "jpeg"),
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    **dict.fromkeys((".bmp", ".dib"), "bmp"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "ppm"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".j2c", ".jpf"), "jpeg2000"),
    **dict.fromkeys((".heic", ".heif"), "heif"),
    **{f".{name}": name for name in ("png", "gif", "webp", "avif")},
}

#: Formats that are another one by their first bytes: an MPO is a JPEG with a second image behind it.
ALSO = {"mpo": "jpeg", "dib": "bmp"}


def check(evidence: Evidence, _options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image whose content is of another format than its extension says."""
    suffix = pl.col("path").str.extract(r"(\.[^./]+)$").str.to_lowercase()
    wrong = (
        evidence.images.filter(pl.col("status").is_in(["ok", "damaged"]))
        .with_columns(
            suffix.alias("suffix"),
            suffix.replace_strict(PROMISED, default=None, return_dtype=pl.String).alias("promised"),
            pl.col("format").str.to_lowercase().replace(ALSO).alias("real"),
        )
        .filter(pl.col("promised") != pl.col("real"))
    )
    return findings.rows(
        wrong,
        pl.format("is named {}, but its content is {}", "suffix", pl.col("real").str.to_uppercase()),
        measured=pl.col("real"),
        limit=pl.col("promised"),
    )


def _example(kind: str) -> Example:
    dog = (Box("dog", 20, 30, 80, 100),)
    return Example(
        (
            Picture("yard.jpg", scene=31, boxes=dog, save={"format": kind}),
            Picture("road.JPEG", scene=32, boxes=dog),
            Picture("screen.png", scene=33, boxes=dog),
        ),
        expect=({"image": "images/train/yard.jpg", "measured_text": "png"},) if kind == "PNG" else (),
    )


RULE = Rule(
    code="I003",
    name="wrong-extension",
    severity="warning",
    summary="extension does not match the content",
    check=check,
    clean=_example("JPEG"),
    dirty=_example("PNG"),
    needs=("pixels", "images"),
)
