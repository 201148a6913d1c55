"""Writing a collection as a new dataset: its images, its annotations, and changes.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.operations import writers
from trainworthy_audit.operations.collection import Collection, rename_collisions

if TYPE_CHECKING:
    from trainworthy_audit.operations.changes import Changes
    from trainworthy_audit.operations.sink import Sink


def write(collection: Collection, format_name: str, sink: Sink, changes: Changes) -> Collection:
    """Write a collection in the canonical layout of a format, with changes.json.

    File names that collide are changed. Each image becomes a row of `changes` ("copied", "renamed" or
    "rewritten"), what is lost a sentence. Returns the collection as it was written.
    """
    writer = writers.load(format_name)
    written = rename_collisions(collection, flat=writer.one_folder)
    for row, wanted in zip(written.images.iter_rows(named=True), collection.images["name"], strict=True):
        _write_image(written, sink, row, changes, wanted=wanted, to=writer.place(row["split"], row["name"]))
    changes.lose([*written.lost, *writer.write(written, sink)])
    changes.numbers |= {
        "images": written.images.height,
        "boxes": written.boxes.height,
        "classes": len(written.classes),
    }
    changes.out = str(sink.out)
    sink.write_changes(changes.to_json())
    return written


def _write_image(
    collection: Collection, sink: Sink, row: dict[str, Any], changes: Changes, *, wanted: str, to: str
) -> None:
    """Copy an image into the new dataset, or write what replaces it; `wanted` is the name it was to have."""
    name, source = row["name"], collection.sources[row["source"]]
    path = row["path"] if len(collection.sources) == 1 else f"{source.path}/{row['path']}"
    data = collection.pixels(row["image"]) if collection.pixels else None
    if data is not None:
        before, after = [row["from_width"], row["from_height"]], [row["width"], row["height"]]
        turned = f"EXIF orientation {row['orientation']} was applied" if row["orientation"] != 1 else None
        changes.add("rewritten", path=path, to=to, before=before, after=after, why=turned)
        sink.write(to, data)
        return
    if name != wanted:
        changes.add("renamed", path=path, to=to, why="its name was taken")
    else:
        changes.add("copied" if name == path.rpartition("/")[2] else "renamed", path=path, to=to)
    sink.copy(source, row["path"], to)
