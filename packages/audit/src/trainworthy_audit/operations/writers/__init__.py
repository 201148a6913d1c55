"""The writers, one file a format: what they write is read back by this package and by the field's own readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.operations.collection import Collection, rename_collisions
from trainworthy_audit.operations.writers import coco, darknet, voc, yolo

if TYPE_CHECKING:
    from types import ModuleType

    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.operations.sink import Sink

#: Each has `FLAT` (whether all splits share one name space), `place(split, name) -> str` (where an image goes)
#: and `write(collection, sink) -> list[str]`, which says what the format could not hold.
WRITERS: dict[str, ModuleType] = {"voc": voc, "coco": coco, "yolo": yolo, "darknet": darknet}


def write(collection: Collection, kind: str, sink: Sink, changes: Changes) -> Collection:
    """Write a collection in the canonical layout of a format, with changes.json.

    File names that collide are changed. Each image becomes a row of `changes` ("copied", "renamed" or
    "rewritten"), what is lost a sentence. Returns the collection as it was written.
    """
    writer = WRITERS[kind]
    made = rename_collisions(collection, flat=writer.FLAT)
    for row, wanted in zip(made.images.iter_rows(named=True), collection.images["name"], strict=True):
        _carry(made, sink, row, changes, wanted=wanted, to=writer.place(row["split"], row["name"]))
    changes.lose([*made.left, *writer.write(made, sink)])
    changes.numbers |= {
        "images": made.images.height,
        "boxes": made.boxes.height,
        "classes": len(made.classes),
    }
    changes.out = str(sink.out)
    sink.note(changes.to_json())
    return made


def _carry(
    collection: Collection, sink: Sink, row: dict[str, Any], changes: Changes, *, wanted: str, to: str
) -> None:
    """Copy an image into the new dataset, or write what replaces it; `wanted` is the name it was to have."""
    name, source = row["name"], collection.sources[row["source"]]
    path = row["path"] if len(collection.sources) == 1 else f"{source.path}/{row['path']}"
    data = collection.pixels(row["image"]) if collection.pixels else None
    if data is not None:
        before, after = [row["from_width"], row["from_height"]], [row["width"], row["height"]]
        turned = f"EXIF orientation {row['turn']} was applied" if row["turn"] != 1 else None
        changes.add("rewritten", path=path, to=to, before=before, after=after, why=turned)
        sink.write(to, data)
        return
    if name != wanted:
        changes.add("renamed", path=path, to=to, why="its name was taken")
    else:
        changes.add("copied" if name == path.rpartition("/")[2] else "renamed", path=path, to=to)
    sink.copy(source, row["path"], to)
