"""A COCO json in which every value is of the right type: the fast way to read it."""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
import polars as pl

from trainworthy_audit.formats.shared.coco_parsed import FLAGS, BoxColumns, ImageEntry
from trainworthy_audit.formats.shared.paths import printable

if TYPE_CHECKING:
    from trainworthy_audit.formats.shared.coco_parsed import ParsedJson

Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Flag = bool | int | float | None


class Image(msgspec.Struct, gc=False):
    """An entry of `images`."""

    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None


class Category(msgspec.Struct, gc=False):
    """An entry of `categories`."""

    id: Id
    name: str


class Attributes(msgspec.Struct, gc=False):
    """The `attributes` of an annotation, as CVAT writes them."""

    truncated: Flag = None
    difficult: Flag = None
    occluded: Flag = None


class Annotation(msgspec.Struct, gc=False):
    """An entry of `annotations`."""

    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    id: Id | None = None
    iscrowd: Flag = None
    truncated: Flag = None
    difficult: Flag = None
    occluded: Flag = None
    attributes: Attributes | None = None


class File(msgspec.Struct, gc=False):
    """The whole file. Other keys are skipped while it is decoded."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


_DECODER = msgspec.json.Decoder(File)


def read(parsed: ParsedJson, data: bytes) -> BoxColumns | None:
    """Fill in images and categories, and return the boxes.

    None, and nothing is filled in, where any value is not of the right type.
    """
    try:
        file = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    parsed.entries = [
        ImageEntry(image.id, image.file_name, image.width, image.height) for image in file.images
    ]
    parsed.categories = [(category.id, printable(category.name)) for category in file.categories]
    try:
        return _box_columns(file.annotations, flagged=_may_hold_flags(data))
    except OverflowError:  # a flag of hundreds of digits
        parsed.entries, parsed.categories = [], []
        return None


def _may_hold_flags(data: bytes) -> bool:
    """Whether any flag's name stands in the file, or may be spelled with escapes: most files have none."""
    return b"\\u" in data or any(name.encode() in data for name in FLAGS)


def _box_columns(annotations: list[Annotation], *, flagged: bool) -> BoxColumns:
    count = len(annotations)
    numbers = chain.from_iterable(map(attrgetter("bbox"), annotations))
    return BoxColumns(
        image_ids=list(map(attrgetter("image_id"), annotations)),
        xywh=np.fromiter(numbers, np.float64, 4 * count).reshape(count, 4),
        columns=pl.DataFrame(
            {
                "class_id": np.fromiter(map(attrgetter("category_id"), annotations), np.int64, count),
                "id": _ids(list(map(attrgetter("id"), annotations))),
                "crowd": _series(list(map(attrgetter("iscrowd"), annotations))),
                **(_flags(annotations) if flagged else {name: _series([None] * count) for name in FLAGS}),
                "shape": pl.repeat("box", count, dtype=pl.String, eager=True),
            }
        ),
    )


def _flags(annotations: list[Annotation]) -> dict[str, pl.Series]:
    """The flags themselves, else those among the attributes."""
    flags = {name: list(map(attrgetter(name), annotations)) for name in FLAGS}
    attributes_of = list(map(attrgetter("attributes"), annotations))
    with_attributes = (
        []
        if attributes_of.count(None) == len(attributes_of)
        else [(at, attributes) for at, attributes in enumerate(attributes_of) if attributes is not None]
    )
    for name, values in flags.items():
        for at, attributes in with_attributes:
            if values[at] is None:
                values[at] = getattr(attributes, name)
    return {name: _series(values) for name, values in flags.items()}


def _ids(ids: list[int | None]) -> pl.Series:
    if None in ids:
        return pl.Series(ids, dtype=pl.Int64)
    return pl.Series(np.fromiter(ids, np.int64, len(ids)))


def _series(flags: list[Flag]) -> pl.Series:
    missing = flags.count(None)
    if missing == len(flags):
        return pl.repeat(None, len(flags), dtype=pl.Float64, eager=True)
    if not missing:
        return pl.Series(np.fromiter(flags, np.float64, len(flags)))
    return pl.Series([None if flag is None else float(flag) for flag in flags], dtype=pl.Float64)
