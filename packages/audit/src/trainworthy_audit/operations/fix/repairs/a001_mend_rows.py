"""A001: rows that can only mean one thing are read: commas, a confidence, a class by its name, numbers as text."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.operations.fix import mending
from trainworthy_audit.operations.fix.repair import Repair, Stage
from trainworthy_audit.types import BOXES

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState
    from trainworthy_audit.types import Dataset


def _apply(state: RepairState) -> None:
    dataset = state.evidence.dataset
    if dataset.format not in mending.READERS or dataset.unread.is_empty():
        return
    unread = dataset.unread.with_row_index("at")
    rows = unread.filter(pl.col("image").is_not_null(), pl.col("box").is_not_null(), pl.col("text") != "")
    readable: list[tuple[dict[str, Any], mending.Mended]] = []
    for group in rows.partition_by("annotation", maintain_order=True) if dataset.format == "coco" else [rows]:
        if group.is_empty():
            continue
        names = _names(dataset, group["annotation"][0])
        found = mending.READERS[dataset.format](group["text"].to_list(), names)
        readable += [
            (row, one) for row, one in zip(group.iter_rows(named=True), found, strict=True) if one is not None
        ]
    if not readable:
        return
    for row, one in readable:
        state.changes.add(
            "row read after all",
            rule="A001",
            path=row["annotation"],
            box=row["box"],
            before=row["text"],
            after=[one.label, *one.edges],
            why=one.why,
        )
    read = {row["at"] for row, _ in readable}
    rest = unread.filter(~pl.col("at").is_in(list(read))).drop("at")
    mended = dataclasses.replace(dataset, boxes=_with_boxes(dataset, readable), unread=rest)
    annotated = dict.fromkeys((row["image"] for row, _ in readable))
    state.set_dataset(
        dataclasses.replace(mended, unreadable_annotation=dataset.unreadable_annotation - set(annotated))
    )


def _names(dataset: Dataset, annotation: str) -> dict[int, str]:
    """The names by id that count in this file."""
    own = [names for names in dataset.names if names.in_annotations and names.source == annotation]
    lists = own or [names for names in dataset.names if not names.in_annotations]
    return lists[0].by_id() if lists else {}


def _with_boxes(dataset: Dataset, readable: list[tuple[dict[str, Any], mending.Mended]]) -> pl.DataFrame:
    """The boxes, with those of the rows that were read after all where they stand in their files."""
    columns = {name: [None] * len(readable) for name in BOXES.names()}
    new: list[dict[str, Any]] = []
    first = 1 + max(dataset.boxes["row"], default=-1)
    from_one = dataset.format == "voc" and _counts_from_one(
        dataset, [edge for _, one in readable for edge in one.edges]
    )
    shift = 1.0 if from_one else 0.0
    for number, (row, one) in enumerate(readable):
        x1, y1, x2, y2 = one.edges
        new.append(
            dict.fromkeys(columns)
            | {name: row[name] for name in ("image", "annotation", "line", "box")}
            | {
                "row": first + number,
                "class_id": one.class_id,
                "label": one.label,
                "shape": one.shape,
                "id": one.id,
            }
            | {"x1": x1 - shift, "y1": y1 - shift, "x2": x2, "y2": y2}
            | dict(one.flags)
        )
    added = pl.DataFrame(new, schema=BOXES)
    return pl.concat([dataset.boxes.cast(BOXES), added]).sort(
        "annotation", "image", "box", maintain_order=True
    )


def _counts_from_one(dataset: Dataset, corners: list[float]) -> bool:
    """Whether corners count from 1, as the reader decides: unless one of them is 0."""
    from_zero = any(note.startswith("Corners count from 0") for note in dataset.notes)
    return not from_zero and (dataset.boxes.height > 0 or 0 not in corners)


REPAIR = Repair(
    "A001",
    "A row that can only mean one thing is read: with commas, with a confidence, with the name of a class in place of "
    "its id, with numbers as text.",
    Stage.ROWS,
    _apply,
)
