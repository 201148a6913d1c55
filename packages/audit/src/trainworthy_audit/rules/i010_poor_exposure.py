"""Dark, bright or blurred image.

## What it does
Finds images that are nearly black or nearly white on the whole, and images without any sharp detail: they
have far less of it than the dataset's median image, and less than a fixed amount too. Blank images are left
to I009.

## Why it hurts training
What people cannot see there, they guess when they draw boxes, and the network learns their guesses. A few
such images are welcome where the model will meet such light; many are a camera that was set up badly.

## Example
A night picture in which only a lamp can be seen; a frame taken while the camera was being turned.

## When it is wrong
For night, infra-red or X-ray pictures, products on white paper, and sources that are softer than the others
by their lens. It is information for a person who looks at the pictures, not a defect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import finding
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image and fault: its brightness, or its sharpness as a share of the median's."""
    seen = evidence.images.filter(pl.col("contrast") >= options["blank-contrast"])
    brightness, sharpness = pl.col("brightness"), pl.col("sharpness")
    dark = finding.rows(
        seen.filter(brightness < options["dark"]),
        "is very dark on the whole",
        measured=brightness.round(3),
        limit=options["dark"],
        unit="mean brightness",
    )
    bright = finding.rows(
        seen.filter(brightness > options["bright"]),
        "is very bright on the whole",
        measured=brightness.round(3),
        limit=options["bright"],
        unit="mean brightness",
    )
    blurred = seen.with_columns((sharpness / sharpness.median()).alias("relative")).filter(
        pl.col("relative") < options["relative-sharpness"], sharpness < options["sharpness"]
    )
    blurred = finding.rows(
        blurred,
        "is blurred: it has hardly any sharp detail",
        measured=pl.col("relative").round(4),
        limit=options["relative-sharpness"],
        unit="of the sharpness of the dataset's median image",
    )
    return finding.join([dark, bright, blurred])


def _dim(image: Image) -> Image:
    return image.point(lambda value: value // 8)


def _example(edit: Any = None) -> tuple[Picture, ...]:  # noqa: ANN401 - None or the function above
    dog = (Box("dog", 40, 20, 110, 80),)
    return (Picture("night.jpg", scene=101, boxes=dog, edit=edit), Picture("noon.jpg", scene=102, boxes=dog))


RULE = Rule(
    code="I010",
    name="poor-exposure",
    severity="info",
    summary="image is very dark, very bright or blurred",
    check=check,
    clean=Example(_example()),
    dirty=Example(_example(_dim), expect=({"image": "images/train/night.jpg", "limit": 0.08},)),
    needs=("images",),
    options=(
        Option("dark", 0.08, "mean brightness below which an image is very dark", "SOURCE"),
        Option("bright", 0.92, "mean brightness above which an image is very bright", "SOURCE"),
        Option(
            "relative-sharpness",
            0.05,
            "share of the median image's sharpness below which an image may be blurred",
            "SOURCE",
        ),
        Option(
            "sharpness",
            100.0,
            "sharpness below which an image may be blurred: variance of the Laplacian",
            "SOURCE",
        ),
        Option(
            "blank-contrast",
            0.02,
            "spread of brightness below which an image is blank, and left to I009",
            "the default of I009",
        ),
    ),
)
