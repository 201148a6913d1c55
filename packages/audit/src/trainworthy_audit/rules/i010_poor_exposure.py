"""Dark, bright or blurred image.

## What it does
Finds images that are nearly black or nearly white on the whole, and images without fine detail: the
variance of their Laplacian, which responds to edges, is small compared with the variance of their brightness, both
in absolute terms and relative to the dataset's median image. (A sharp aeroplane in an empty sky has few edges too,
but little contrast either.) Blank images are reported by I009.

## Why it hurts training
What people cannot see there, they guess when they draw boxes, and the network learns their guesses. A few such
images are useful where the model will meet such light; many of them suggest a camera that was set up badly.

## Example
A night photograph in which only a lamp is visible; a frame taken while the camera was moving.

## When it is wrong
For night, infrared or X-ray images, products on white paper, and sources with a softer lens than the others. It is
information for a person who looks at the images, not a defect. Slight blur is not noticed: images are measured at
an eighth of their size, where only a blur of about 2 % of the image's longer side is certain to show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import findings
from trainworthy_audit.types import Box, Example, Option, Picture, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from trainworthy_audit.types import Evidence


def check(evidence: Evidence, options: Mapping[str, Any]) -> pl.DataFrame:
    """One finding for each image and fault: its mean brightness, or its share of fine detail."""
    seen = evidence.images.filter(pl.col("contrast") >= options["blank-contrast"])
    brightness = pl.col("brightness")
    detail = pl.col("sharpness") / (pl.col("contrast") * 255) ** 2
    dark = findings.rows(
        seen.filter(brightness < options["dark"]),
        "is very dark on the whole",
        measured=brightness.round(3),
        limit=options["dark"],
        unit="mean brightness",
    )
    bright = findings.rows(
        seen.filter(brightness > options["bright"]),
        "is very bright on the whole",
        measured=brightness.round(3),
        limit=options["bright"],
        unit="mean brightness",
    )
    blurred = seen.with_columns(detail.alias("detail"), (detail / detail.median()).alias("relative")).filter(
        pl.col("detail") < options["detail"], pl.col("relative") < options["relative-detail"]
    )
    blurred = findings.rows(
        blurred,
        "is blurred: it has hardly any fine detail",
        measured=pl.col("detail").round(4),
        limit=options["detail"],
        unit="variance of the Laplacian / variance of the brightness",
    )
    return findings.join([dark, bright, blurred])


def _dim(image: Image) -> Image:
    return image.point(lambda value: value * value // 2000)


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
    dirty=Example(_example(_dim), expect=({"image": "images/train/night.jpg", "limit": 0.05},)),
    needs=("pixels", "images"),
    options=(
        Option(
            "dark",
            0.05,
            "mean brightness, from 0 to 1, below which an image is very dark",
            "the darkest of 1,900 real photographs in which people still found the object had 0.08",
        ),
        Option(
            "bright",
            0.95,
            "mean brightness, from 0 to 1, above which an image is very bright",
            "the brightest of the same images, drawings on white paper among them, had 0.84",
        ),
        Option(
            "detail",
            0.08,
            "variance of the Laplacian over that of the brightness, below which an image may be blurred",
            "measured: none of those images is below 0.12; blurred by 2 % of their longer side, "
            "96 % are below 0.08",
        ),
        Option(
            "relative-detail",
            0.15,
            "the same as a share of the dataset's median image, below which an image may be blurred",
            "our choice: cameras and scenes differ by less, a blur as above makes it less than a tenth",
        ),
        Option(
            "blank-contrast",
            0.01,
            "spread of brightness below which an image is blank, and reported by I009",
            "the default of I009",
        ),
    ),
)
