"""The rows of YOLO's label files, which ultralytics and darknet share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit.operations import polygons
from trainworthy_audit.operations.writers.shared import losses
from trainworthy_audit.operations.writers.shared.numbers import FRACTION_DIGITS, joined, plain, spelled

if TYPE_CHECKING:
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.originals import Originals

FLAGS = ("truncated", "difficult", "occluded", "crowd")

#: A polygon that is stretched by less, in pixels, is as it was.
NOTABLE = 0.01


def labelled(collection: Collection) -> pl.DataFrame:
    """The images that get a label file: annotated ones, less those whose boxes cannot be fractions of a size."""
    without_size = collection.images.filter(pl.col("width").is_null() | pl.col("height").is_null())["image"]
    with_boxes = collection.boxes.filter(pl.col("image").is_in(without_size.implode()))["image"].unique()
    return collection.images.filter("annotated", ~pl.col("image").is_in(with_boxes.implode()))


def label_rows(
    collection: Collection, originals: Originals, title: str, *, keep_polygons: bool
) -> tuple[dict[int, str], list[str]]:
    """{image: the text of its label file}, and what could not be held.

    With `keep_polygons` an object that has one is written as its polygon. Trainers read a file in which one row is a
    polygon as if all were: there, boxes are written as polygons of four corners.
    """
    sizes = collection.images.select(
        "image", pl.col("width").cast(pl.Float64).alias("w"), pl.col("height").cast(pl.Float64).alias("h")
    )
    number = {name: index for index, name in enumerate(collection.classes)}
    boxes = collection.boxes.join(sizes, on="image", maintain_order="left").with_columns(
        pl.col("label").replace_strict(number, return_dtype=pl.Int64).alias("id")
    )
    sized = boxes.drop_nulls(["w", "h"])
    lost = [*losses.flags(collection, FLAGS, title)]
    if sized.height < boxes.height:
        lost.append(f"{boxes.height - sized.height:,} boxes of images whose size is not known.")
    rows = joined(sized, _row())
    if keep_polygons:
        with_polygons, more = _polygon_rows(collection, sized, originals)
        rows |= with_polygons
        lost += more
    else:
        lost += losses.shapes(collection, originals, title)
    return rows, [*lost, *losses.extras(collection, title)]


def _row() -> pl.Expr:
    """`class cx cy width height`, the four as fractions of the image."""
    numbers = (
        (pl.col("x1") + pl.col("x2")) / 2 / pl.col("w"),
        (pl.col("y1") + pl.col("y2")) / 2 / pl.col("h"),
        (pl.col("x2") - pl.col("x1")) / pl.col("w"),
        (pl.col("y2") - pl.col("y1")) / pl.col("h"),
    )
    return pl.format("{} {} {} {} {}\n", "id", *(plain(each, FRACTION_DIGITS) for each in numbers))


def _polygon_rows(
    collection: Collection, boxes: pl.DataFrame, originals: Originals
) -> tuple[dict[int, str], list[str]]:
    """The text of the label files in which some object has a polygon, and what became of polygons."""
    if losses.with_shape(collection).is_empty():
        return {}, []
    by_image: dict[int, list[tuple[dict[str, Any], list[float] | None]]] = {}
    several_parts = misfits = 0
    stretched: list[float] = []
    for row in boxes.iter_rows(named=True):
        shape = originals.shape(row)
        polygon = None
        if isinstance(shape, dict) or (shape and len(shape) > 1):
            several_parts += 1
        elif shape:
            polygon = polygons.fit(shape[0], row)
            if polygon is None:
                misfits += 1
            elif (by := float(np.abs(np.subtract(polygon, shape[0])).max())) > NOTABLE:
                stretched.append(by)
        by_image.setdefault(row["image"], []).append((row, polygon))
    lost = [*losses.counted(originals.lost)]
    if several_parts:
        lost.append(
            f"YOLO has no masks and no polygons of several parts: of {several_parts:,} objects only the boxes are "
            "kept."
        )
    if stretched:
        lost.append(
            f"The difference between {len(stretched):,} polygons and their boxes, of up to {max(stretched):.2g} px: "
            "they were stretched to fit."
        )
    if misfits:
        lost.append(f"{misfits:,} polygons that do not fit the boxes beside them.")
    texts = {
        image: "".join(_polygon_row(row, polygon or _corners(row)) for row, polygon in rows)
        for image, rows in by_image.items()
        if any(polygon for _, polygon in rows)
    }
    return texts, lost


def _corners(row: dict[str, Any]) -> list[float]:
    x1, y1, x2, y2 = (row[edge] for edge in ("x1", "y1", "x2", "y2"))
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def _polygon_row(row: dict[str, Any], polygon: list[float]) -> str:
    fractions = [value / row["h" if index % 2 else "w"] for index, value in enumerate(polygon)]
    return f"{row['id']} {' '.join(spelled(fractions, FRACTION_DIGITS))}\n"
