"""Blank image.

## What it does
Finds images that are one colour, or so nearly that nothing can be seen in them: the spread (standard
deviation) of their brightness is below a limit, and no spot stands out from the rest: a lamp in the night, a bird in
the sky.

## Why it hurts training
A blank image with boxes teaches that nothing looks like something. Blank images are also caused by a lens cap, a
camera that failed, or a broken export, and rarely come alone.

## Example
A frame that is black from edge to edge, with the boxes of the frame before it.

## When it is wrong
When scenes are really almost uniform, such as fog, deep night or a clean conveyor belt, kept as negatives on
purpose.
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
    """One finding for each image whose spread of brightness, 0 to 1, is below the limit, and nothing stands out."""
    stands_out = (pl.col("span") > options["span"]).fill_null(value=False)
    blank = evidence.images.filter(pl.col("contrast") < options["contrast"], ~stands_out)
    shade = (
        pl.when(pl.col("brightness") < 0.1)
        .then(pl.lit("black"))
        .when(pl.col("brightness") > 0.9)
        .then(pl.lit("white"))
        .otherwise(pl.lit("of one shade"))
    )
    return findings.rows(
        blank,
        pl.format("is blank or nearly so: all of it is {}", shade),
        measured=pl.col("contrast").round(4),
        limit=options["contrast"],
        unit="spread of brightness",
    )


def _wipe(image: Image) -> Image:
    image.paste((96, 104, 112), (0, 0, *image.size))
    return image


def _example(edit: Any = None) -> tuple[Picture, ...]:  # noqa: ANN401 - None or the function above
    cat = (Box("cat", 30, 30, 100, 100),)
    return (Picture("fog.jpg", scene=91, boxes=cat, edit=edit), Picture("clear.jpg", scene=92, boxes=cat))


RULE = Rule(
    code="I009",
    name="blank-image",
    severity="warning",
    summary="image is blank, or nearly so",
    check=check,
    clean=Example(_example()),
    dirty=Example(_example(_wipe), expect=({"image": "images/train/fog.jpg", "limit": 0.01},)),
    needs=("pixels", "images"),
    options=(
        Option(
            "contrast",
            0.01,
            "smallest standard deviation of the brightness, where black is 0 and white 1",
            "two or three of 256 grey levels: noise, averaged at the scale of measuring, is less; the "
            "emptiest of 1,900 real photographs, an aeroplane in a clear sky, has 0.021",
        ),
        Option(
            "span",
            0.15,
            "largest difference between the brightest and the darkest spot, where black is 0 and white 1",
            "a detector needs an object that differs from what is around it; noise and compression of a blank image, "
            "averaged at the scale of measuring, stay below 0.1",
        ),
    ),
)
