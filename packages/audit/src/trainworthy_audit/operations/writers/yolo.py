"""YOLO as ultralytics reads it: images/SPLIT, labels/SPLIT and data.yaml; without splits images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import yaml

from trainworthy_audit import splits
from trainworthy_audit.formats.builder import stem
from trainworthy_audit.operations.originals import Originals, fitted
from trainworthy_audit.operations.writers import losses
from trainworthy_audit.operations.writers.numbers import FRACTION_DIGITS, joined, plain, spelled

if TYPE_CHECKING:
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.sink import Sink

FLAT = False

FLAGS = ("truncated", "difficult", "occluded", "crowd")

#: A polygon that is stretched by less, in pixels, is as it was.
NOTABLE = 0.01

#: The keys of data.yaml by what a split is for.
_KEYS = {"train": "train", "val": "val", "test": "test"}


def place(split: str | None, name: str) -> str:
    """Where an image goes."""
    return f"images/{split}/{name}" if split else f"images/{name}"


def write(collection: Collection, sink: Sink) -> list[str]:
    """Write labels and data.yaml; return what YOLO cannot hold."""
    originals = Originals(collection)
    rows, lost = label_rows(collection, originals, "YOLO", polygons=True)
    for image in labelled(collection).iter_rows(named=True):
        folder = f"labels/{image['split']}" if image["split"] else "labels"
        sink.write(f"{folder}/{stem(image['name'])}.txt", rows.get(image["image"], "").encode())
    keys, odd = _keys(collection)
    whole: dict[str, Any] = {
        **keys,
        "nc": len(collection.classes),
        "names": dict(enumerate(collection.classes)),
    }
    sink.write("data.yaml", yaml.safe_dump(whole, allow_unicode=True, sort_keys=False, width=10**6).encode())
    return [*lost, *odd]


def labelled(collection: Collection) -> pl.DataFrame:
    """The images that get a label file: annotated ones, less those whose boxes cannot be fractions of a size."""
    homeless = collection.images.filter(pl.col("width").is_null() | pl.col("height").is_null())["image"]
    with_boxes = collection.boxes.filter(pl.col("image").is_in(homeless.implode()))["image"].unique()
    return collection.images.filter("annotated", ~pl.col("image").is_in(with_boxes.implode()))


def label_rows(
    collection: Collection, originals: Originals, title: str, *, polygons: bool
) -> tuple[dict[int, str], list[str]]:
    """{image: the text of its label file}, and what could not be held.

    With `polygons` an object that has one is written as its polygon. Trainers read a file in which one row is a
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
    if polygons:
        drawn, more = _drawn(collection, sized, originals)
        rows |= drawn
        lost += more
    else:
        lost += losses.shapes(collection, originals, title)
    return rows, [*lost, *losses.elements(collection), *losses.keys(collection)]


def _row() -> pl.Expr:
    """`class cx cy width height`, the four as fractions of the image."""
    numbers = (
        (pl.col("x1") + pl.col("x2")) / 2 / pl.col("w"),
        (pl.col("y1") + pl.col("y2")) / 2 / pl.col("h"),
        (pl.col("x2") - pl.col("x1")) / pl.col("w"),
        (pl.col("y2") - pl.col("y1")) / pl.col("h"),
    )
    return pl.format("{} {} {} {} {}\n", "id", *(plain(each, FRACTION_DIGITS) for each in numbers))


def _drawn(
    collection: Collection, boxes: pl.DataFrame, originals: Originals
) -> tuple[dict[int, str], list[str]]:
    """The text of the label files in which some object has a polygon."""
    if "coco" not in collection.formats and not (boxes["shape"] == "polygon").any():
        return {}, []
    found: dict[int, list[tuple[dict[str, Any], list[float] | None]]] = {}
    parted = far = 0
    stretched: list[float] = []
    for row in boxes.iter_rows(named=True):
        shape = originals.shape(row)
        polygon = None
        if isinstance(shape, dict) or (shape and len(shape) > 1):
            parted += 1
        elif shape:
            polygon = fitted(shape[0], row)
            if polygon is None:
                far += 1
            elif (by := float(np.abs(np.subtract(polygon, shape[0])).max())) > NOTABLE:
                stretched.append(by)
        found.setdefault(row["image"], []).append((row, polygon))
    lost = [*losses.counted(originals.lost)]
    if parted:
        lost.append(
            f"YOLO has no masks and no polygons of several parts: of {parted:,} objects only the boxes are kept."
        )
    if stretched:
        lost.append(
            f"The difference between {len(stretched):,} polygons and their boxes, of up to {max(stretched):.2g} px: "
            "they were stretched to fit."
        )
    if far:
        lost.append(f"{far:,} polygons that do not fit the boxes beside them.")
    drawn = {
        image: "".join(_polygon_row(row, polygon or _corners(row)) for row, polygon in rows)
        for image, rows in found.items()
        if any(polygon for _, polygon in rows)
    }
    return drawn, lost


def _corners(row: dict[str, Any]) -> list[float]:
    x1, y1, x2, y2 = (row[edge] for edge in ("x1", "y1", "x2", "y2"))
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def _polygon_row(row: dict[str, Any], polygon: list[float]) -> str:
    fractions = [value / row["h" if index % 2 else "w"] for index, value in enumerate(polygon)]
    return f"{row['id']} {' '.join(spelled(fractions, FRACTION_DIGITS))}\n"


def _keys(collection: Collection) -> tuple[dict[str, str], list[str]]:
    """{key of data.yaml: folder}, and what is said of splits and images that get none."""
    keys: dict[str, str] = {}
    said = []
    for split in collection.splits:
        key = _KEYS.get(splits.role(split))
        if key and key not in keys:
            keys[key] = f"images/{split}"
        else:
            said.append(f"data.yaml has no key for the split {split}: its images lie in images/{split}.")
    rest = collection.images["split"].null_count()
    if keys and rest:
        said.append(f"{rest:,} images in no split lie in images, where training does not look for them.")
    return {key: keys[key] for key in _KEYS.values() if key in keys}, said
