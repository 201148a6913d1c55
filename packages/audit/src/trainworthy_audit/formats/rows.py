"""The rows of YOLO label files, which both YOLO readers share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.source import lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainworthy_audit.formats.draft import Draft


def read_labels(draft: Draft, labels: Iterable[tuple[str, int]], names: Mapping[int, str]) -> None:
    """Read each (label file, image) into `draft`: its boxes as fractions, and the rows that cannot be read."""
    draft.fractions = True
    columns: dict[str, list[object]] = {
        name: []
        for name in (
            "image",
            "annotation",
            "line",
            "box",
            "class_id",
            "label",
            "shape",
            "x1",
            "y1",
            "x2",
            "y2",
        )
    }
    for path, image in labels:
        box = -1
        for number, text in lines(draft.source.read(path)):
            words = text.split()
            if not words:
                continue
            box += 1
            try:
                class_id = int(words[0])
                values = [float(word) for word in words[1:]]
            except ValueError:
                draft.unread(path, "not numbers", text=text, line=number, image=image, box=box)
                continue
            if len(values) == 4:
                cx, cy, w, h = values
                edges = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            elif len(values) >= 6 and len(values) % 2 == 0:
                edges = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
            else:
                draft.unread(path, f"{len(words)} numbers", text=text, line=number, image=image, box=box)
                continue
            shape = "box" if len(values) == 4 else "polygon"
            row = (image, path, number, box, class_id, names.get(class_id), shape, *edges)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    draft.boxes(pl.DataFrame(columns, infer_schema_length=None))
