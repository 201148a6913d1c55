"""YOLO as ultralytics reads it: images/SPLIT, labels/SPLIT and data.yaml; without splits images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from trainworthy_audit import splits
from trainworthy_audit.formats.shared.paths import stem
from trainworthy_audit.operations.originals import Originals
from trainworthy_audit.operations.writers.shared.label_rows import label_rows, labelled
from trainworthy_audit.operations.writers.shared.writer import Writer

if TYPE_CHECKING:
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.sink import Sink

#: The keys of data.yaml by what a split is for.
_KEYS = {"train": "train", "val": "val", "test": "test"}


def _place(split: str | None, name: str) -> str:
    """Where an image goes."""
    return f"images/{split}/{name}" if split else f"images/{name}"


def _write(collection: Collection, sink: Sink) -> list[str]:
    """Write labels and data.yaml; return what YOLO cannot hold."""
    originals = Originals(collection)
    rows, lost = label_rows(collection, originals, "YOLO", keep_polygons=True)
    for image in labelled(collection).iter_rows(named=True):
        folder = f"labels/{image['split']}" if image["split"] else "labels"
        sink.write(f"{folder}/{stem(image['name'])}.txt", rows.get(image["image"], "").encode())
    keys, without_key = _keys(collection)
    whole: dict[str, Any] = {
        **keys,
        "nc": len(collection.classes),
        "names": dict(enumerate(collection.classes)),
    }
    sink.write("data.yaml", yaml.safe_dump(whole, allow_unicode=True, sort_keys=False, width=10**6).encode())
    return [*lost, *without_key]


def _keys(collection: Collection) -> tuple[dict[str, str], list[str]]:
    """{key of data.yaml: folder}, and sentences about splits and images without one."""
    keys: dict[str, str] = {}
    lost = []
    for split in collection.splits:
        key = _KEYS.get(splits.role(split))
        if key and key not in keys:
            keys[key] = f"images/{split}"
        else:
            lost.append(f"data.yaml has no key for the split {split}: its images lie in images/{split}.")
    rest = collection.images["split"].null_count()
    if keys and rest:
        lost.append(f"{rest:,} images in no split lie in images, where training does not look for them.")
    return {key: keys[key] for key in _KEYS.values() if key in keys}, lost


WRITER = Writer("YOLO (ultralytics)", _place, _write)
