"""What was read of one COCO json."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

FLAGS = ("truncated", "difficult", "occluded")

#: An annotation in its file: `at` is its index in `annotations`, `entry` that of its image in `ParsedJson.entries`.
PLACE = pl.Schema({"at": pl.UInt32, "entry": pl.UInt32})


@dataclass(slots=True)
class ImageEntry:
    """An entry of `images`. `id` is a number in COCO; some tools write text."""

    id: int | str
    name: str
    width: float | None  # declared, in pixels
    height: float | None


@dataclass(slots=True)
class Problem:
    """An entry, or a whole file, that could not be read."""

    reason: str
    text: str = ""
    line: int | None = None
    entry: int | None = None  # its image, an index of `ParsedJson.entries`
    at: int | None = None  # its index in `annotations`


class BoxColumns(NamedTuple):
    """The annotations that could be read, in their order."""

    image_ids: Sequence[int | str]
    xywh: NDArray[np.float64]  # (N, 4): x, y, width and height in pixels, as written
    columns: pl.DataFrame  # further columns of `BOXES`, N rows
    at: pl.Series | None = None  # their indices in `annotations`; None where all could be read


@dataclass(slots=True)
class ParsedJson:
    """What one json contains."""

    path: str
    split: str | None
    entries: list[ImageEntry] = field(default_factory=list)
    categories: list[tuple[int, str]] = field(default_factory=list)  # (id, name)
    #: One row an annotation that could be read: `PLACE` (`entry` is null where its image_id is unknown), and columns
    #: of `BOXES`.
    boxes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PLACE))
    problems: list[Problem] = field(default_factory=list)
    unknown_ids: list[int | str] = field(default_factory=list)  # image ids of annotations that no image has
    has_annotations: bool = True  # it has a list of annotations, if an empty one
    incomplete: bool = False  # its images or its annotations could not be read as a whole
    all_categories_read: bool = True
    has_bom: bool = False  # it begins with a byte order mark

    def fail(self, problem: Problem) -> None:
        """Note that nothing of the file could be read."""
        self.problems.append(problem)
        self.incomplete = True

    def set_boxes(self, found: BoxColumns) -> None:
        """Fill in `boxes` and `unknown_ids`; the entries and the categories must be there."""
        # Of images that share an id the last one counts, as for pycocotools.
        entry_of = {entry.id: index for index, entry in enumerate(self.entries)}
        entries = list(map(entry_of.get, found.image_ids))
        if None in entries:
            pairs = zip(found.image_ids, entries, strict=True)
            self.unknown_ids = list(dict.fromkeys(identity for identity, entry in pairs if entry is None))
        # Of categories that share an id the first one counts, as in `NameList.by_id`.
        labels = pl.DataFrame(
            self.categories, schema={"class_id": pl.Int64, "label": pl.String}, orient="row"
        )
        x, y, width, height = found.xywh.T
        self.boxes = found.columns.with_columns(
            pl.Series("entry", entries, dtype=pl.UInt32),
            pl.int_range(pl.len(), dtype=pl.UInt32).alias("at") if found.at is None else found.at.alias("at"),
            x1=x,
            y1=y,
            x2=x + width,
            y2=y + height,
        ).join(labels.unique("class_id", keep="first"), on="class_id", how="left", maintain_order="left")
