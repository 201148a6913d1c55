"""What is on its way into a new dataset: images and boxes in pixels, wherever they came from."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.formats.builder import fold, stem

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset, Evidence

#: One row an image, numbered 0..n-1.
IMAGES = pl.Schema(
    {
        "image": pl.UInt32,
        "source": pl.UInt32,  # index into `Collection.sources`
        "path": pl.String,  # in its source
        "name": pl.String,  # file name in the new dataset
        "split": pl.String,
        "width": pl.UInt32,  # pixels as they will be stored; null where nothing says
        "height": pl.UInt32,
        "depth": pl.UInt8,  # channels; null where it was not measured
        "annotated": pl.Boolean,  # has an annotation, if an empty one
        "annotation": pl.String,  # in its source: the first file that annotates it
        "from_width": pl.UInt32,  # size in its source; other than width and height where it was resized
        "from_height": pl.UInt32,
        "turn": pl.UInt8,  # EXIF orientation that was applied on the way, 1 for none
    }
)

#: One row a box, those of an image in the order of their file.
BOXES = pl.Schema(
    {
        "image": pl.UInt32,
        "x1": pl.Float64,  # pixels, as everywhere (see `types`)
        "y1": pl.Float64,
        "x2": pl.Float64,
        "y2": pl.Float64,
        "label": pl.String,
        "truncated": pl.Float64,  # flags as read; null where the file does not say
        "difficult": pl.Float64,
        "occluded": pl.Float64,
        "crowd": pl.Float64,
        "class_id": pl.Int64,  # as it stood in its source; what is written follows `Collection.classes`
        "source": pl.UInt32,  # where it came from: `originals` finds the row or element again by these
        "annotation": pl.String,
        "line": pl.UInt32,
        "box": pl.UInt32,
        "shape": pl.String,
        "from_x1": pl.Float64,  # the edges as they were read
        "from_y1": pl.Float64,
        "from_x2": pl.Float64,
        "from_y2": pl.Float64,
    }
)

EDGES = ("x1", "y1", "x2", "y2")

#: Channels of Pillow's modes; all others have three.
_DEPTHS = {"1": 1, "L": 1, "I": 1, "F": 1, "I;16": 1, "LA": 2, "RGBA": 4, "CMYK": 4}

#: What no list of files or names holds: control characters, and the separators of folders.
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]"
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\/]")


@dataclass(frozen=True)
class Collection:
    """Images and boxes on their way into a new dataset.

    `pixels(image)` gives the bytes that replace those of the image's file, or None where the file is copied.
    """

    images: pl.DataFrame  # IMAGES
    boxes: pl.DataFrame  # BOXES
    classes: tuple[str, ...]  # in the order of the ids that will be written
    splits: tuple[str, ...]
    sources: tuple[Source, ...]
    formats: tuple[str, ...]  # of each source
    pixels: Callable[[int], bytes | None] | None = None
    left: tuple[str, ...] = ()  # sentences: what of the sources could not be taken along
    content: tuple[tuple[str, ...], ...] = field(
        default=(), repr=False
    )  # of each source: see `Dataset.content`


# ------------------------------------------------------------------------------------------------------------
# From a dataset


def collect(evidence: Evidence, source: Source) -> Collection:
    """Return what can be taken along of one dataset, boxes in pixels; `left` says what cannot."""
    dataset = evidence.dataset
    boxes, left = _boxes(evidence)
    images, more = _images(evidence, boxes)
    names, boxes = _classes(dataset, boxes)
    return Collection(
        images=images,
        boxes=boxes,
        classes=names,
        splits=dataset.splits,
        sources=(source,),
        formats=(dataset.format,),
        left=(*left, *more),
        content=(dataset.content,),
    )


def _boxes(evidence: Evidence) -> tuple[pl.DataFrame, list[str]]:
    """The boxes that belong to an image and have finite edges, and sentences about the others.

    Where edges were mended, the evidence has those that were read in `from_x1..from_y2`.
    """
    found = evidence.boxes
    homeless = found["image"].null_count()
    unknown = _unknown(evidence)
    endless = found.filter(pl.col("image").is_not_null(), ~pl.col("finite")).height
    unread = evidence.dataset.unread.height
    left = []
    if unknown:
        left.append(
            f"{_many(unknown, 'annotation', 'annotations')} of images that are not there (A002), with "
            f"{homeless:,} boxes."
        )
    if endless:
        left.append(f"{_many(endless, 'box', 'boxes')} whose edges are no finite numbers of pixels (B003).")
    if unread:
        left.append(f"{_many(unread, 'row', 'rows')} that could not be read (A001).")
    kept = (
        found.filter(pl.col("image").is_not_null(), "finite")
        .with_columns(
            pl.lit(0, pl.UInt32).alias("source"),
            *(pl.col(edge).alias(f"from_{edge}") for edge in EDGES if f"from_{edge}" not in found.columns),
        )
        .select(BOXES.names())
        .cast(BOXES)
        .sort("image", maintain_order=True)
    )
    return kept, left


def _unknown(evidence: Evidence) -> int:
    """Annotations whose image is not there, and that hence have no boxes among those of the dataset."""
    references = evidence.dataset.references
    return references.filter(pl.col("kind") == "annotation", pl.col("image").is_null()).height


def _many(count: int, one: str, several: str) -> str:
    return f"Left behind: {count:,} {one if count == 1 else several}"


def _images(evidence: Evidence, boxes: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    dataset = evidence.dataset
    # Where nothing of an annotation could be read, an empty one would say that the image shows no object.
    endless = evidence.boxes.filter(~pl.col("finite"))["image"]
    lost = pl.concat([dataset.unread["image"], endless]).drop_nulls().unique()
    spoilt = pl.col("image").is_in(lost.implode()) & ~pl.col("image").is_in(boxes["image"].unique().implode())

    def whole(side: str) -> pl.Expr:
        known = pl.col(f"image_{side}")
        fits = known.is_finite() & known.is_between(1, 2**31)
        return pl.when(fits).then(known.round()).cast(pl.UInt32)

    images = evidence.images.select(
        "image",
        pl.lit(0, pl.UInt32).alias("source"),
        "path",
        pl.col("path").map_elements(_file_name, return_dtype=pl.String).alias("name"),
        "split",
        whole("width").alias("width"),
        whole("height").alias("height"),
        pl.when(pl.col("mode").is_not_null())
        .then(pl.col("mode").replace_strict(_DEPTHS, default=3, return_dtype=pl.UInt8))
        .alias("depth"),
        (pl.col("annotation").is_not_null() & ~spoilt).alias("annotated"),
        "annotation",
        whole("width").alias("from_width"),
        whole("height").alias("from_height"),
        pl.lit(1, pl.UInt8).alias("turn"),
    ).cast(IMAGES)
    left = []
    several = dataset.membership["image"].is_duplicated().sum()
    if several:
        twice = dataset.membership.filter(pl.col("image").is_duplicated())["image"].n_unique()
        left.append(
            f"{twice:,} image{'s are' if twice > 1 else ' is'} in several splits: kept in the first (D003)."
        )
    broken = images.filter(spoilt).height
    if broken:
        left.append(
            f"{broken:,} image{'s have' if broken > 1 else ' has'} annotations of which nothing could be taken along: "
            "without annotation in the new dataset."
        )
    return images, left


def _file_name(path: str) -> str:
    """The path's last part, less what lists of files do not survive."""
    name = path.rpartition("/")[2]
    plain = _NOT_IN_NAMES.sub("_", name).strip()
    return plain if plain.strip(".") else f"image{plain}"


def _classes(dataset: Dataset, boxes: pl.DataFrame) -> tuple[tuple[str, ...], pl.DataFrame]:
    """The names by id, then labels that no list declares. Every box gets a label of one line."""
    numbered = pl.concat_str(pl.lit("class_"), pl.col("class_id").fill_null(0))
    plain = pl.col("label").str.replace_all(_CONTROL, " ").str.strip_chars("\r\n")
    label = pl.when(plain.str.strip_chars() != "").then(plain).otherwise(numbered)
    boxes = boxes.with_columns(label.alias("label"))
    declared = dataset.names[0].by_id() if dataset.names else {}
    given = pl.DataFrame(
        {"class_id": sorted(declared), "label": [declared[number] for number in sorted(declared)]},
        schema={"class_id": pl.Int64, "label": pl.String},
    ).with_columns(label.alias("label"))
    used = boxes["label"].unique().sort()
    return tuple(dict.fromkeys([*given["label"], *used])), boxes


# ------------------------------------------------------------------------------------------------------------
# Changes


def keep(collection: Collection, images: pl.Series) -> Collection:
    """Only these images (numbers), numbered anew from 0 in their order, and their boxes."""
    chosen = collection.images.filter(pl.col("image").is_in(images.implode())).rename({"image": "old"})
    chosen = chosen.with_row_index("image").cast({"image": pl.UInt32})
    boxes = (
        collection.boxes.rename({"image": "old"})
        .join(chosen.select("old", "image"), on="old", how="inner", maintain_order="left")
        .select(BOXES.names())
    )
    return dataclasses.replace(collection, images=chosen.select(IMAGES.names()), boxes=boxes)


def rename_collisions(collection: Collection, *, flat: bool) -> Collection:
    """File names that no two images share, compared by stem and without regard to case.

    Within each split, or with `flat` over all. The first image of a name keeps it; others get the names of
    their folders, or of their source, in front, and where that does not help a number behind.
    """
    taken: set[tuple[str | None, str]] = set()
    names: list[str] = []
    columns = collection.images.select("name", "split", "path", "source")
    wanted = Counter((None if flat else split, fold(stem(name))) for name, split, _, _ in columns.iter_rows())
    for name, split, path, source in columns.iter_rows():
        room = None if flat else split
        new = name
        if (room, fold(stem(name))) in taken:
            new = _another(name, path, collection.sources[source].name, room, taken | wanted.keys())
        taken.add((room, fold(stem(new))))
        names.append(new)
    return dataclasses.replace(
        collection, images=collection.images.with_columns(pl.Series("name", names, dtype=pl.String))
    )


def _another(name: str, path: str, source: str, room: str | None, taken: set[tuple[str | None, str]]) -> str:
    """A name like this one that is not taken."""
    folders = path.split("/")[:-1]
    for front in (*("_".join(folders[-count:]) for count in range(1, len(folders) + 1)), source):
        new = _file_name(f"{front}_{name}".replace("/", "_"))
        if (room, fold(stem(new))) not in taken:
            return new
    bare = stem(name)
    suffix = name[len(bare) :]
    number = 2
    while (room, fold(f"{bare}_{number}")) in taken:
        number += 1
    return f"{bare}_{number}{suffix}"
