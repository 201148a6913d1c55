"""COCO: images/SPLIT and annotations/instances_SPLIT.json; without splits images and instances.json."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.operations.originals import Originals
from trainworthy_audit.operations.writers import losses
from trainworthy_audit.operations.writers.numbers import DIGITS, snapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.originals import Entry, Shape
    from trainworthy_audit.operations.sink import Sink

FLAT = False

FLAGS = ("truncated", "difficult", "occluded")

#: What is written anew; all other keys of a COCO annotation or image are taken along.
_ANNOTATION = frozenset({"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd"})
_IMAGE = frozenset({"id", "file_name", "width", "height"})
#: Keys of an annotation that hold coordinates, and do not follow an image that is turned or resized.
_PLACED = ("keypoints", "num_keypoints")


def place(split: str | None, name: str) -> str:
    """Where an image goes."""
    return f"images/{split}/{name}" if split else f"images/{name}"


def write(collection: Collection, sink: Sink) -> list[str]:
    """Write one json a split; return what COCO cannot hold."""
    originals = Originals(collection)
    categories = _categories(collection, originals)
    number = {name: index for index, name in enumerate(collection.classes, start=1)}
    rows = _by_image(collection)
    parts: list[str | None] = [*collection.splits]
    if not parts or collection.images["split"].null_count():
        parts.append(None)
    top = _top(originals)
    count = 0
    for split in parts:
        chosen = collection.images.filter(pl.col("split").eq_missing(split), "annotated")
        images, annotations = [], []
        for image in chosen.iter_rows(named=True):
            images.append(msgspec.json.encode(_image(image, collection, originals)))
            for row in rows.get(image["image"], ()):
                count += 1
                annotations.append(msgspec.json.encode(_annotation(row, count, number, originals)))
        name = f"annotations/instances_{split}.json" if split else "annotations/instances.json"
        sink.write(name, _whole(top, images, annotations, categories))
    return [*losses.elements(collection), *losses.counted(originals.lost), *_unknown(collection)]


def _by_image(collection: Collection) -> dict[int, list[dict[str, Any]]]:
    rows = snapped(collection).iter_rows(named=True)
    return {image: list(found) for image, found in groupby(rows, key=lambda row: row["image"])}


def _whole(top: Entry, images: list[bytes], annotations: list[bytes], categories: list[Entry]) -> bytes:
    """The json, one entry a line, so that a person can look something up in it."""
    parts = [b"{\n"]
    parts += [
        msgspec.json.encode(key) + b": " + msgspec.json.encode(value) + b",\n" for key, value in top.items()
    ]
    listed = {"images": images, "annotations": annotations}
    for key, entries in listed.items():
        parts += [f'"{key}": [\n'.encode(), b",\n".join(entries), b"\n],\n"]
    parts += [b'"categories": ', msgspec.json.encode(categories), b"\n}\n"]
    return b"".join(parts)


def _top(originals: Originals) -> Entry:
    """`info`, `licenses` and whatever else stands at the top of the first json."""
    for found in originals.jsons():
        return {key: value for key, value in found.rest.items() if key != "categories"}
    return {}


def _categories(collection: Collection, originals: Originals) -> list[Entry]:
    """The categories, with what the first json that has one of this name says of it (its supercategory)."""
    known: dict[str, Entry] = {}
    for found in originals.jsons():
        listed = found.rest.get("categories")
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get("name"), str):
                known.setdefault(one["name"], one)
    return [
        known.get(name, {}) | {"id": index, "name": name}
        for index, name in enumerate(collection.classes, start=1)
    ]


def _image(image: dict[str, Any], collection: Collection, originals: Originals) -> Entry:
    made: Entry = {"id": image["image"] + 1, "file_name": image["name"]}
    if image["width"] is not None and image["height"] is not None:
        made |= {"width": image["width"], "height": image["height"]}
    if collection.formats[image["source"]] == "coco" and image["annotation"] is not None:
        own = originals.json(image["source"], image["annotation"]).image(image["path"])
        made |= {key: value for key, value in own.items() if key not in _IMAGE}
    return made


def _annotation(row: dict[str, Any], identity: int, number: dict[str, int], originals: Originals) -> Entry:
    own = originals.annotation(row)
    shape = originals.shape(row, own)
    x1, y1, x2, y2 = (row[edge] for edge in ("x1", "y1", "x2", "y2"))
    width, height = round(x2 - x1, DIGITS), round(y2 - y1, DIGITS)
    made: Entry = {
        "id": identity,
        "image_id": row["image"] + 1,
        "category_id": number[row["label"]],
        "bbox": [round(x1, DIGITS), round(y1, DIGITS), width, height],
        "area": _area(row, own, shape, width * height, originals),
        "iscrowd": int(row["crowd"]) if row["crowd"] in {0, 1} else 0,
        "segmentation": [] if shape is None else shape,
    }
    made |= {key: value for key, value in own.items() if key not in _ANNOTATION}
    if not originals.stays(row["image"]):
        for key in _PLACED:
            made.pop(key, None)
    inner = made.get("attributes")
    for flag in FLAGS:
        stated = flag in made or (isinstance(inner, dict) and flag in inner)
        if not stated and row[flag] is not None and math.isfinite(row[flag]):
            made[flag] = int(row[flag]) if float(row[flag]).is_integer() else row[flag]
    return made


def _area(row: dict[str, Any], own: Entry, shape: Shape | None, of_box: float, originals: Originals) -> float:
    """As it was where nothing moved; else of the polygons, else of the box."""
    if "area" in own and originals.untouched(row):
        return own["area"]  # type: ignore[no-any-return] # whatever stood there
    if not isinstance(shape, list):
        return round(of_box, DIGITS)
    total = 0.0
    for part in shape:
        x, y = np.array(part[::2]), np.array(part[1::2])
        total += abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    return round(total, DIGITS)


def _unknown(collection: Collection) -> Iterator[str]:
    """Splits that readers do not recognise by their names."""
    odd = [split for split in collection.splits if splits.split_name(split) is None]
    if odd:
        yield (
            f"The splits {', '.join(odd)} are kept as files of their own, but readers know only names such as "
            "train, val and test for splits."
        )
