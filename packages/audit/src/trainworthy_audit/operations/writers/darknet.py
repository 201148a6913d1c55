"""YOLO as darknet reads it: images and labels in data/obj, lists of images, obj.names and obj.data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.formats.shared.paths import stem
from trainworthy_audit.operations.originals import Originals
from trainworthy_audit.operations.writers.shared.label_rows import label_rows, labelled
from trainworthy_audit.operations.writers.shared.writer import Writer

if TYPE_CHECKING:
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.sink import Sink

#: The keys of obj.data by what a split is for; darknet itself knows the first two.
_KEYS = {"train": "train", "val": "valid", "test": "test"}


def _place(split: str | None, name: str) -> str:
    """Where an image goes."""
    del split
    return f"data/obj/{name}"


def _write(collection: Collection, sink: Sink) -> list[str]:
    """Write labels, lists, names and obj.data; return what darknet cannot hold."""
    originals = Originals(collection)
    keep_polygons = any(dataset.format == "darknet" for dataset in collection.datasets)
    rows, lost = label_rows(collection, originals, "darknet", keep_polygons=keep_polygons)
    for image in labelled(collection).iter_rows(named=True):
        sink.write(f"data/obj/{stem(image['name'])}.txt", rows.get(image["image"], "").encode())
    settings = {"classes": str(len(collection.classes))}
    for split in collection.splits:
        names = collection.images.filter(pl.col("split") == split)["name"]
        sink.write(f"data/{split}.txt", "".join(f"data/obj/{name}\n" for name in names).encode())
        key = _KEYS.get(splits.role(split))
        if key and key not in settings:
            settings[key] = f"data/{split}.txt"
        else:
            lost.append(f"obj.data has no key for the split {split}: its list is data/{split}.txt.")
    settings |= {"names": "data/obj.names", "backup": "backup/"}
    sink.write("data/obj.names", "".join(f"{name}\n" for name in collection.classes).encode())
    sink.write("data/obj.data", "".join(f"{key} = {value}\n" for key, value in settings.items()).encode())
    return lost


WRITER = Writer("YOLO (darknet)", _place, _write, one_folder=True)
