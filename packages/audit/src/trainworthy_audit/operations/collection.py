"""Images and boxes on their way into a new dataset, in pixels, whatever format they were read from."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import formats
from trainworthy_audit.formats.shared.paths import fold, stem

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
        "orientation": pl.UInt8,  # EXIF orientation that was applied on the way, 1 for none
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
    datasets: tuple[Dataset, ...]  # as read from each source
    pixels: Callable[[int], bytes | None] | None = None
    lost: tuple[str, ...] = ()  # sentences: what of the sources could not be taken along


# ------------------------------------------------------------------------------------------------------------
# From a dataset


def collect(evidence: Evidence, source: Source) -> Collection:
    """What can be taken along of one dataset, boxes in pixels; `lost` says what cannot."""
    dataset = evidence.dataset
    boxes, lost = _boxes(evidence)
    images, more = _images(evidence, boxes)
    classes, boxes = _classes(dataset, boxes)
    return Collection(
        images=images,
        boxes=boxes,
        classes=classes,
        splits=dataset.splits,
        sources=(source,),
        datasets=(dataset,),
        lost=(*lost, *more),
    )


def shares_annotations(dataset: Dataset) -> bool:
    """Whether one annotation file is about many images, so that it cannot go with one of them, nor `box` name a row."""
    return formats.load(dataset.format).one_file_for_many_images


def _boxes(evidence: Evidence) -> tuple[pl.DataFrame, list[str]]:
    """The boxes that belong to an image and have finite edges, and sentences about the others.

    Where edges were repaired, the evidence has those that were read in `from_x1..from_y2`.
    """
    boxes = evidence.boxes
    without_image = boxes["image"].null_count()
    missing = _missing_images(evidence)
    not_finite = boxes.filter(pl.col("image").is_not_null(), ~pl.col("finite")).height
    unread = evidence.dataset.unread.height
    lost = []
    if missing:
        lost.append(
            f"{_left_behind(missing, 'annotation', 'annotations')} of images that are not there (A002), with "
            f"{without_image:,} box{'' if without_image == 1 else 'es'}."
        )
    if not_finite:
        lost.append(
            f"{_left_behind(not_finite, 'box', 'boxes')} whose edges are no finite numbers of pixels (B003)."
        )
    if unread:
        lost.append(f"{_left_behind(unread, 'row', 'rows')} that could not be read (A001).")
    kept = (
        boxes.filter(pl.col("image").is_not_null(), "finite")
        .with_columns(
            pl.lit(0, pl.UInt32).alias("source"),
            *(pl.col(edge).alias(f"from_{edge}") for edge in EDGES if f"from_{edge}" not in boxes.columns),
        )
        .select(BOXES.names())
        .cast(BOXES)
        .sort("image", maintain_order=True)
    )
    return kept, lost


def _missing_images(evidence: Evidence) -> int:
    """How many annotations there are whose image is not there; their boxes belong to no image."""
    references = evidence.dataset.references
    return references.filter(pl.col("kind") == "annotation", pl.col("image").is_null()).height


def _left_behind(count: int, one: str, several: str) -> str:
    return f"Left behind: {count:,} {one if count == 1 else several}"


def _images(evidence: Evidence, boxes: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    dataset = evidence.dataset
    # Where nothing of an annotation could be read, an empty one would say that the image shows no object.
    not_finite = evidence.boxes.filter(~pl.col("finite"))["image"]
    affected = pl.concat([dataset.unread["image"], not_finite]).drop_nulls().unique()
    with_boxes = boxes["image"].unique()
    nothing_left = pl.col("image").is_in(affected.implode()) & ~pl.col("image").is_in(with_boxes.implode())

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
        (pl.col("annotation").is_not_null() & ~nothing_left).alias("annotated"),
        "annotation",
        whole("width").alias("from_width"),
        whole("height").alias("from_height"),
        pl.lit(1, pl.UInt8).alias("orientation"),
    ).cast(IMAGES)
    lost = []
    in_several = dataset.membership.filter(pl.col("image").is_duplicated())["image"].n_unique()
    if in_several:
        lost.append(
            f"{in_several:,} image{'s are' if in_several > 1 else ' is'} in several splits: kept in the first (D003)."
        )
    bare = images.filter(nothing_left).height
    if bare:
        lost.append(
            f"{bare:,} image{'s have' if bare > 1 else ' has'} annotations of which nothing could be taken along: "
            "without annotation in the new dataset."
        )
    return images, lost


def _file_name(path: str) -> str:
    """The path's last part, without what lists of files cannot hold."""
    name = path.rpartition("/")[2]
    plain = _NOT_IN_NAMES.sub("_", name).strip()
    return plain if plain.strip(".") else f"image{plain}"


def _classes(dataset: Dataset, boxes: pl.DataFrame) -> tuple[tuple[str, ...], pl.DataFrame]:
    """The names by id, then labels that no list declares. Every box gets a label of one line."""
    by_number = pl.concat_str(pl.lit("class_"), pl.col("class_id").fill_null(0))
    one_line = pl.col("label").str.replace_all(_CONTROL, " ").str.strip_chars("\r\n")
    label = pl.when(one_line.str.strip_chars() != "").then(one_line).otherwise(by_number)
    boxes = boxes.with_columns(label.alias("label"))
    declared = dataset.names[0].by_id() if dataset.names else {}
    names = pl.DataFrame(
        {"class_id": sorted(declared), "label": [declared[number] for number in sorted(declared)]},
        schema={"class_id": pl.Int64, "label": pl.String},
    ).with_columns(label.alias("label"))
    used = boxes["label"].unique().sort()
    return tuple(dict.fromkeys([*names["label"], *used])), boxes


# ------------------------------------------------------------------------------------------------------------
# Changes


def keep(collection: Collection, images: pl.Series) -> Collection:
    """Only these images (their numbers), numbered anew from 0 in their order, and their boxes."""
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
    reserved = {(None if flat else split, fold(stem(name))) for name, split, _, _ in columns.iter_rows()}
    for name, split, path, source in columns.iter_rows():
        scope = None if flat else split
        new = name
        if (scope, fold(stem(name))) in taken:
            new = _unused_name(name, path, collection.sources[source].name, scope, reserved)
        taken.add((scope, fold(stem(new))))
        reserved.add((scope, fold(stem(new))))
        names.append(new)
    return dataclasses.replace(
        collection, images=collection.images.with_columns(pl.Series("name", names, dtype=pl.String))
    )


def _unused_name(
    name: str, path: str, source: str, scope: str | None, reserved: set[tuple[str | None, str]]
) -> str:
    """A name like this one that no image of its scope, a split or everything, has or wants."""
    folders = path.split("/")[:-1]
    for front in (*("_".join(folders[-count:]) for count in range(1, len(folders) + 1)), source):
        new = _file_name(f"{front}_{name}".replace("/", "_"))
        if (scope, fold(stem(new))) not in reserved:
            return new
    bare = stem(name)
    suffix = name[len(bare) :]
    number = 2
    while (scope, fold(f"{bare}_{number}")) in reserved:
        number += 1
    return f"{bare}_{number}{suffix}"
