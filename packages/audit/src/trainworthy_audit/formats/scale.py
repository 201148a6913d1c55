"""From fractions of the image, as YOLO writes them, to pixels."""

from __future__ import annotations

import polars as pl

EDGES = ("x1", "y1", "x2", "y2")

#: A number above this cannot be a fraction that is merely out of bounds: the row holds pixels (rule B008).
PIXELS_FROM = 2.0


def in_pixels(boxes: pl.DataFrame, *, fractions: bool) -> pl.DataFrame:
    """Add `finite`, `unit_error` and `fx1..fy2` to boxes that have `image_width` and `image_height`.

    Fractions become pixels in `x1..y2` and are kept in `fx1..fy2`. A row that holds pixels where fractions belong is
    marked `unit_error`, and keeps its numbers as the pixels that they are. `finite` says that all four edges are known
    and finite.
    """
    raw = [pl.col(edge) for edge in EDGES]
    if fractions:
        side = {"x1": "image_width", "x2": "image_width", "y1": "image_height", "y2": "image_height"}
        wrong = pl.any_horizontal(edge.is_finite() & (edge.abs() > PIXELS_FROM) for edge in raw).fill_null(value=False)
        boxes = boxes.with_columns(
            wrong.alias("unit_error"), *(pl.col(edge).alias(f"f{edge}") for edge in EDGES)
        ).with_columns(
            pl.when("unit_error").then(pl.col(edge)).otherwise(pl.col(edge) * pl.col(side[edge])).alias(edge)
            for edge in EDGES
        )
    else:
        boxes = boxes.with_columns(
            pl.lit(False).alias("unit_error"), *(pl.lit(None, pl.Float64).alias(f"f{edge}") for edge in EDGES)
        )
    return boxes.with_columns(pl.all_horizontal(edge.is_finite() for edge in raw).fill_null(value=False).alias("finite"))
