"""The writers, one file a format: what they write is read back by this package and by the field's own readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    columns = made.images.select("image", "path", "name", "split").iter_rows()
    replaced = made.pixels is not None
    for (image, path, name, split), wanted in zip(columns, collection.images["name"], strict=True):
        to = writer.place(split, name)
        if replaced:
            action, why = "rewritten", None
        elif name == wanted == path.rpartition("/")[2]:
            action, why = "copied", None
        else:
            action, why = "renamed", "its name was taken" if name != wanted else None
        changes.add(action, path=path, to=to, why=why)
        copy_image(made, sink, image, to)
    changes.lose([*made.left, *writer.write(made, sink)])
    changes.numbers |= {
        "images": made.images.height,
        "boxes": made.boxes.height,
        "classes": len(made.classes),
    }
    changes.out = str(sink.out)
    sink.note(changes.to_json())
    return made


def copy_image(collection: Collection, sink: Sink, image: int, to: str) -> None:
    """Copy an image into the new dataset, or write what replaces it."""
    data = collection.pixels(image) if collection.pixels else None
    if data is not None:
        sink.write(to, data)
        return
    source, path = collection.images.select("source", "path").row(image)
    sink.copy(collection.sources[source], path, to)
