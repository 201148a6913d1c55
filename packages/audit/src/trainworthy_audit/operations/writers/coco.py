"""COCO: images/SPLIT and annotations/instances_SPLIT.json; without splits images and instances.json."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.formats.shared.coco_masks import number
from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.operations import masks, polygons
from trainworthy_audit.operations.originals import Originals
from trainworthy_audit.operations.writers.shared import losses
from trainworthy_audit.operations.writers.shared.numbers import DIGITS, snapped
from trainworthy_audit.operations.writers.shared.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.originals import Shape
    from trainworthy_audit.operations.originals.coco import Entry
    from trainworthy_audit.operations.sink import Sink

FLAGS = ("truncated", "difficult", "occluded")

#: What is written anew; all other keys of a COCO annotation or image are taken along.
_ANNOTATION = frozenset({"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd"})
_IMAGE = frozenset({"id", "file_name", "width", "height"})


def _place(split: str | None, name: str) -> str:
    """Where an image goes."""
    return f"images/{split}/{name}" if split else f"images/{name}"


def _write(collection: Collection, sink: Sink) -> list[str]:
    """Write one json a split; return what COCO cannot hold."""
    originals = Originals(collection)
    categories = _categories(collection, originals)
    ids = {name: index for index, name in enumerate(collection.classes, start=1)}
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
                annotations.append(msgspec.json.encode(_annotation(row, count, ids, originals)))
        name = f"annotations/instances_{split}.json" if split else "annotations/instances.json"
        sink.write(name, _whole(top, images, annotations, categories))
    return [*losses.extras(collection, "coco"), *losses.counted(originals.lost), *_unknown_splits(collection)]


def _by_image(collection: Collection) -> dict[int, list[dict[str, Any]]]:
    rows = snapped(collection).iter_rows(named=True)
    return {image: list(own) for image, own in groupby(rows, key=lambda row: row["image"])}


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
    """`info`, `licenses` and all other keys of the first json."""
    for json in originals.jsons():
        return {key: value for key, value in json.top.items() if key != "categories"}
    return {}


def _categories(collection: Collection, originals: Originals) -> list[Entry]:
    """The categories, with what the first json that has one of this name says of it (its supercategory)."""
    entries: dict[str, Entry] = {}
    for json in originals.jsons():
        listed = json.top.get("categories")
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and isinstance(one.get("name"), str):
                entries.setdefault(one["name"], one)
    return [
        entries.get(name, {}) | {"id": index, "name": name}
        for index, name in enumerate(collection.classes, start=1)
    ]


def _image(image: dict[str, Any], collection: Collection, originals: Originals) -> Entry:
    entry: Entry = {"id": image["image"] + 1, "file_name": image["name"]}
    if image["width"] is not None and image["height"] is not None:
        entry |= {"width": image["width"], "height": image["height"]}
    if collection.datasets[image["source"]].format == "coco" and image["annotation"] is not None:
        own = originals.json(image["source"], image["annotation"]).image(image["path"])
        entry |= {key: value for key, value in own.items() if key not in _IMAGE}
    return entry


def _annotation(row: dict[str, Any], identity: int, ids: dict[str, int], originals: Originals) -> Entry:
    original = originals.annotation(row)
    shape = originals.shape(row, original)
    x1, y1, x2, y2 = (row[edge] for edge in ("x1", "y1", "x2", "y2"))
    width, height = round(x2 - x1, DIGITS), round(y2 - y1, DIGITS)
    entry: Entry = {
        "id": identity,
        "image_id": row["image"] + 1,
        "category_id": ids[row["label"]],
        "bbox": [round(x1, DIGITS), round(y1, DIGITS), width, height],
        "area": original["area"]
        if "area" in original and originals.untouched(row)
        else _area(shape, width * height),
        "iscrowd": int(row["crowd"]) if row["crowd"] in {0, 1} else 0,
        "segmentation": [] if shape is None else shape,
    }
    entry |= {key: value for key, value in original.items() if key not in _ANNOTATION}
    if not originals.placement(row["image"]).unchanged:
        _move_keypoints(entry, row["image"], originals)
    attributes = entry.get("attributes")
    for flag in FLAGS:
        stated = flag in entry or (isinstance(attributes, dict) and flag in attributes)
        if not stated and row[flag] is not None and math.isfinite(row[flag]):
            entry[flag] = int(row[flag]) if float(row[flag]).is_integer() else row[flag]
    return entry


def _area(shape: Shape | None, of_box: float) -> float:
    """The area of the polygons or of the mask; of the box where there are none, or they are damaged."""
    try:
        if isinstance(shape, dict):
            return masks.area(shape)
        return round(of_box if shape is None else polygons.area(shape), DIGITS)
    except MalformedError:
        return round(of_box, DIGITS)


def _move_keypoints(entry: Entry, image: int, originals: Originals) -> None:
    """Bring `keypoints` [x, y, visibility, ...] to where the written image shows them.

    COCO counts their pixels from 0. One without visibility is not annotated, and stays (0, 0).
    """
    if "keypoints" not in entry:
        return
    placement = originals.placement(image)
    try:
        values = np.array([number(value) for value in entry["keypoints"]]).reshape(-1, 3)
    except (TypeError, ValueError, MalformedError):
        originals.lost["lists of keypoints that are not x, y and visibility in turn"] += 1
        del entry["keypoints"]
        entry.pop("num_keypoints", None)
        return
    annotated = values[:, 2] > 0
    values[annotated, :2] = placement.pixels(values[annotated, :2])
    if placement.mirrored and annotated.any():
        originals.lost[
            "objects whose left and right keypoints changed sides in an image that was mirrored"
        ] += 1
    entry["keypoints"] = [
        int(value) if value.is_integer() else value for value in values.ravel().round(DIGITS).tolist()
    ]


def _unknown_splits(collection: Collection) -> Iterator[str]:
    """Splits that readers do not recognise by their names."""
    unknown = [split for split in collection.splits if splits.split_name(split) is None]
    if unknown:
        yield (
            f"The splits {', '.join(unknown)} are kept as files of their own, but readers know only names such as "
            "train, val and test for splits."
        )


WRITER = Writer("COCO", _place, _write, declares_sizes=True)
