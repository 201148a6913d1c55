"""Sentences about what a format cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import formats
from trainworthy_audit.operations.originals import EXTRAS

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
    count = sum(originals.shape(row) is not None for row in with_shape(collection).iter_rows(named=True))
    if count:
        yield f"{format_name} has no polygons or masks: of {count:,} objects only the boxes are kept."


def keypoints(collection: Collection, format_name: str) -> Iterator[str]:
    """One sentence about keypoints, which no writer writes."""
    count = collection.boxes.filter(pl.col("shape") == "keypoints").height
    if count:
        yield f"The keypoints of {count:,} objects: {format_name} is written with their boxes only."


def with_shape(collection: Collection) -> pl.DataFrame:
    """The boxes that may have a polygon or a mask beside them, as far as it is known without reading their files."""
    unknown = [
        number
        for number, dataset in enumerate(collection.datasets)
        if formats.load(dataset.format).shapes_beside_boxes
    ]
    return collection.boxes.filter(pl.col("source").is_in(unknown) | (pl.col("shape") != "box"))


def extras(collection: Collection, format_name: str) -> Iterator[str]:
    """What else annotations may hold that is not written."""
    yield from keypoints(collection, format_name)
    there = {dataset.format for dataset in collection.datasets} - {format_name}
    yield from (sentence for name, sentence in EXTRAS.items() if name in there)


def counted(lost: Counter[str]) -> Iterator[str]:
    """What `Originals` counted, a sentence each."""
    for what, count in lost.items():
        yield f"{count:,} {what}."


def _boxes(count: int) -> str:
    return f"{count:,} box{'es' if count != 1 else ''}"


def _have(count: int) -> str:
    return "have" if count != 1 else "has"
