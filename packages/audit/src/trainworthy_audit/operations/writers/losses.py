"""Sentences about what a format cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.originals import Originals


def flags(collection: Collection, names: Iterable[str], format_name: str) -> Iterator[str]:
    """One sentence a flag that some box has set."""
    for name in names:
        column = pl.col(name)
        count = collection.boxes.filter(column.is_finite(), column != 0).height
        if count:
            yield f"{format_name} has no flag `{name}`, which {_boxes(count)} {_have(count)} set."


def shapes(collection: Collection, originals: Originals, format_name: str) -> Iterator[str]:
    """One sentence about polygons and masks, of which only the boxes are kept."""
    # Rows of COCO all have the shape "box": whether there is a polygon beside it, only the file says.
    has_json = "coco" in collection.formats
    asked = collection.boxes if has_json else collection.boxes.filter(pl.col("shape") == "polygon")
    count = sum(originals.shape(row) is not None for row in asked.iter_rows(named=True))
    if count:
        yield f"{format_name} has no polygons or masks: of {count:,} objects only the boxes are kept."


def keys(collection: Collection) -> Iterator[str]:
    """What else a COCO json may hold."""
    if "coco" in collection.formats:
        yield "Other keys of COCO (attributes, licences, keypoints, ...), where there are any."


def elements(collection: Collection) -> Iterator[str]:
    """What else a VOC xml may hold."""
    if "voc" in collection.formats:
        yield (
            "Elements of Pascal VOC other than name, box, size and flags (<pose>, <part>, <source>, ...), where "
            "there are any."
        )


def counted(lost: Counter[str]) -> Iterator[str]:
    """What `Originals` counted, a sentence each."""
    for what, count in lost.items():
        yield f"{count:,} {what}."


def _boxes(count: int) -> str:
    return f"{count:,} box{'es' if count != 1 else ''}"


def _have(count: int) -> str:
    return "have" if count != 1 else "has"
