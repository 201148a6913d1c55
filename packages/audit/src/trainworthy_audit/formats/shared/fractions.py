"""From fractions of the image, as YOLO writes them, to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from trainworthy_audit.types import Dataset

#: Each edge, and the side of the image that it is a fraction of.
SIDES = {"x1": "image_width", "y1": "image_height", "x2": "image_width", "y2": "image_height"}

#: A larger number cannot be a fraction that is merely out of bounds: the row holds pixels (rule B008).
PIXELS_FROM = 2.0

#: Centre and size are computed back from the edges, which costs the last digits.
ROUNDING = 1e-9


def in_pixels(boxes: pl.DataFrame, *, fractions: bool) -> pl.DataFrame:
    """Add `finite`, `unit_error` and `fx1..fy2` to boxes that have `image_width` and `image_height`.

    Fractions become pixels in `x1..y2`, null where the size of the image is unknown, and stay in `fx1..fy2`. A row
    that holds pixels where fractions belong is marked `unit_error`, and keeps its numbers, which are pixels. `finite`
    says that all four edges are known and finite. Neither mark is ever null.
    """
    if fractions:
        pixels = [
            pl.when("unit_error").then(pl.col(edge)).otherwise(pl.col(edge) * pl.col(side)).alias(edge)
            for edge, side in SIDES.items()
        ]
        boxes = boxes.with_columns(
            _holds_pixels().alias("unit_error"), *(pl.col(edge).alias(f"f{edge}") for edge in SIDES)
        ).with_columns(pixels)
    else:
        boxes = boxes.with_columns(
            pl.lit(value=False).alias("unit_error"),
            *(pl.lit(None, pl.Float64).alias(f"f{edge}") for edge in SIDES),
        )
    known = [pl.col(edge).is_finite().fill_null(value=False) for edge in SIDES]
    return boxes.with_columns(pl.all_horizontal(known).alias("finite"))


def in_shares(dataset: Dataset) -> bool:
    """Whether boxes can be judged as shares of images only: they are fractions, and no image has a known size."""
    return dataset.annotations_only and dataset.fractions and not dataset.images["declared_width"].count()


def _holds_pixels() -> pl.Expr:
    """Whether a number of the row is too large for a fraction: a box's centre or size, a polygon's edge."""
    x1, y1, x2, y2 = (pl.col(edge) for edge in SIDES)
    centre_and_size = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)

    def exceeds(number: pl.Expr) -> pl.Expr:
        return (number.is_finite() & (number.abs() > PIXELS_FROM + ROUNDING)).fill_null(value=False)

    return (
        pl.when(pl.col("shape").is_in(("polygon", "oriented")))
        .then(pl.any_horizontal(exceeds(edge) for edge in (x1, y1, x2, y2)))
        .otherwise(pl.any_horizontal(exceeds(number) for number in centre_and_size))
    )
