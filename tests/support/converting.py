"""Datasets written and read back: what is in them, in a form that two formats share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from support.helpers import measurer
from trainworthy_audit import formats, splits
from trainworthy_audit.config import Config
from trainworthy_audit.formats.shared.paths import stem
from trainworthy_audit.operations import convert, writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import Collection, collect
from trainworthy_audit.operations.image_sizes import from_headers
from trainworthy_audit.operations.sink import open_sink
from trainworthy_audit.source import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainworthy_audit.types import Evidence

#: What no new dataset may have: unreadable rows, annotations without images, repeated or contradicting ones.
STRUCTURAL = {"A001", "A002", "A005", "A006", "A007", "S004", "C001", "C002", "C003", "B008"}

#: A picture's split and stem, and whether it is annotated.
Place = tuple[str | None, str, bool]


def evidence(dataset: Path, **settings: Any) -> Evidence:
    """What can be known of a dataset without decoding a picture."""
    source = open_source(dataset)
    wanted = Config(**settings)
    return from_headers(source, formats.read(source, wanted.format, wanted.annotations), measurer())


def collected(dataset: Path, **settings: Any) -> Collection:
    """A dataset on its way into a new one."""
    return collect(evidence(dataset, **settings), open_source(dataset))


def converted(dataset: Path, to: str, out: Path, **settings: Any) -> Changes:
    """Convert a dataset; `out` is written as a zip where it is named like one."""
    return convert.run(
        open_source(dataset), Config(**settings), measurer(), to=to, out=out, zipped=out.suffix == ".zip"
    )


def written(collection: Collection, kind: str, out: Path) -> Changes:
    """Write a collection to a folder."""
    changes = Changes("test")
    with open_sink(out, collection.sources) as sink:
        writing.write(collection, kind, sink, changes)
    return changes


def content(found: Evidence, names: Mapping[str, str] | None = None) -> dict[Place, list[tuple[Any, ...]]]:
    """{place: boxes (label, x1, y1, x2, y2) in their order}; `names` maps paths to those of another dataset."""
    places: dict[int, Place] = {}
    for row in found.images.iter_rows(named=True):
        path = names[row["path"]] if names else row["path"]
        role = splits.role(row["split"])
        split = row["split"] if role == "other" else role
        places[row["image"]] = (split, stem(path), row["annotation"] is not None)
    made: dict[Place, list[tuple[Any, ...]]] = {place: [] for place in places.values()}
    assert len(made) == len(places), "no two pictures share a place"
    for row in found.boxes.filter(pl.col("image").is_not_null()).iter_rows(named=True):
        box = tuple(row[name] for name in ("label", "x1", "y1", "x2", "y2"))
        made[places[row["image"]]].append(box)
    return made


def same(a: Mapping[Place, Any], b: Mapping[Place, Any], within: float = 0.01) -> None:
    """Assert that both hold the same pictures and labels, and the same edges within so many pixels."""
    assert a.keys() == b.keys()
    for place, boxes in a.items():
        assert [box[0] for box in boxes] == [box[0] for box in b[place]], place
        for one, other in zip(boxes, b[place], strict=True):
            assert all(abs(p - q) <= within for p, q in zip(one[1:], other[1:], strict=True)), (
                place,
                one,
                other,
            )
