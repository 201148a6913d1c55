"""The quarantine: a folder beside the repaired dataset, with what was set aside and a list that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from trainworthy_audit.operations.collection import EDGES, shares_annotations

if TYPE_CHECKING:
    from pathlib import Path

    from trainworthy_audit.operations.fix.state import RepairState
    from trainworthy_audit.operations.sink import FolderSink
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Evidence

SCHEMA = "trainworthy.quarantine/1"
LIST = "quarantine.json"


def folder_for(out: Path) -> Path:
    """The quarantine of a new dataset, beside it."""
    return out.with_name(f"{out.stem if out.suffix == '.zip' else out.name}.quarantine")


def collect(state: RepairState, evidence: Evidence) -> list[dict[str, Any]]:
    """A row for each image that is set aside, and for each annotation without image, with its files and boxes.

    `evidence` is that of the dataset as it was read. Each row is noted among the changes.
    """
    shared = shares_annotations(evidence.dataset)
    annotations = evidence.dataset.references.filter(pl.col("kind") == "annotation")
    files_of = dict(
        annotations.drop_nulls("image").group_by("image").agg(pl.col("source").unique().sort()).iter_rows()
    )
    boxes = evidence.boxes.filter(pl.col("image").is_in(list(state.quarantine)))
    boxes_of = {int(key[0]): part for key, part in boxes.partition_by("image", as_dict=True).items()}
    rows: list[dict[str, Any]] = []
    for image, (code, why) in sorted(state.quarantine.items()):
        path = state.path(image)
        state.changes.add("set aside", rule=code, path=path, to=path, why=why)
        own = [] if shared else files_of.get(image, [])
        found = boxes_of.get(image)
        listed = [] if found is None else found.select("box", "line", "class_id", "label", *EDGES).to_dicts()
        rows.append({"rule": code, "why": why, "image": path, "files": [path, *own], "boxes": listed})
    if "A002" in state.selected and not shared:
        mended = state.evidence.dataset.references
        without_image = mended.filter(pl.col("kind") == "annotation").filter(
            pl.col("image").is_null(), ~pl.col("outside")
        )
        for path in without_image["source"].unique().sort():
            why = "no image of this name is in the dataset"
            state.changes.add("set aside", rule="A002", path=path, to=path, why=why)
            rows.append({"rule": "A002", "why": why, "image": None, "files": [path], "boxes": []})
    return rows


def write(source: Source, rows: list[dict[str, Any]], sink: FolderSink) -> None:
    """Write the files under the paths that they had, and the list."""
    for path in dict.fromkeys(path for row in rows for path in row["files"] if path in source.entries):
        sink.copy(source, path, path)
    listed = {"schema": SCHEMA, "source": str(source.path), "set_aside": rows}
    sink.write(LIST, msgspec.json.format(msgspec.json.encode(listed), indent=1) + b"\n")
