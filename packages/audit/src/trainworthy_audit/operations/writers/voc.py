"""Pascal VOC: JPEGImages, Annotations, and lists in ImageSets/Main; corners count from 1."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.formats.shared.paths import stem
from trainworthy_audit.operations.originals import Originals
from trainworthy_audit.operations.writers.shared import losses
from trainworthy_audit.operations.writers.shared.numbers import DIGITS, escaped, joined, plain, snapped
from trainworthy_audit.operations.writers.shared.writer import Writer

if TYPE_CHECKING:
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.operations.sink import Sink

FLAGS = ("truncated", "difficult", "occluded")

#: The least that corners can differ by. Corners that coincide mean a box without extent.
STEP = 10.0**-DIGITS

#: Pixels that a corner may be moved by without a word.
NEAR = 0.01


def _place(split: str | None, name: str) -> str:
    """Where an image goes."""
    del split
    return f"JPEGImages/{name}"


def _write(collection: Collection, sink: Sink) -> list[str]:
    """Write the annotations and lists; return what VOC cannot hold."""
    originals = Originals(collection)
    boxes, lost = _corners(snapped(collection))
    boxes, heads, more = _others(collection, boxes, originals)
    objects = joined(boxes, _object())
    for row in collection.images.iter_rows(named=True):
        if row["annotated"]:
            other = heads.get(row["image"], "  <segmented>0</segmented>\n")
            text = _head(row) + other + objects.get(row["image"], "") + "</annotation>\n"
            sink.write(f"Annotations/{stem(row['name'])}.xml", text.encode())
    _write_lists(collection, sink)
    used = sorted(collection.boxes["label"].unique())
    if list(collection.classes) != used:
        sink.write("labels.txt", "".join(f"{name}\n" for name in collection.classes).encode())
    return [
        *lost,
        *more,
        *losses.flags(collection, ("crowd",), "Pascal VOC"),
        *losses.shapes(collection, originals, "Pascal VOC"),
        *losses.extras(collection, "voc"),
    ]


def _others(
    collection: Collection, boxes: pl.DataFrame, originals: Originals
) -> tuple[pl.DataFrame, dict[int, str], list[str]]:
    """The column `others`, {image: elements above the objects}, as they stood in Pascal VOC, and what was lost."""
    heads = {
        image: xml.head
        for image, source, annotation in collection.images.select("image", "source", "annotation").iter_rows()
        if (xml := originals.xml(source, annotation)) is not None
    }
    if not heads:
        return boxes.with_columns(pl.lit("").alias("others")), {}, []
    others, left = [], 0
    for row in boxes.iter_rows(named=True):
        xml = originals.xml(row["source"], row["annotation"])
        own = placed = ""
        if xml is not None:
            own, placed = xml.objects.get(row["box"], ""), xml.placed.get(row["box"], "")
        if placed and not originals.untouched(row):
            left, placed = left + 1, ""
        others.append(own + placed)
    sentence = f"The parts of {left:,} objects, which were not moved with their boxes."
    return (
        boxes.with_columns(pl.Series("others", others, dtype=pl.String)),
        heads,
        [sentence] if left else [],
    )


def _corners(boxes: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """`xmin`, `ymin`, `xmax`, `ymax` from edges, so that `formats.voc` has the edges back.

    Counted from 1, a box of one pixel would have corners that coincide, which means none, and a corner from 0 to
    below 1 would mean that corners count from 0. Both are avoided by the smallest steps where they are enough.
    """
    corners = {}
    narrow, moved = pl.lit(value=False), pl.lit(value=False)
    for side in "xy":
        low, high = pl.col(f"{side}1").round(DIGITS), pl.col(f"{side}2").round(DIGITS)
        extent = high - low
        narrow |= (extent > STEP / 2) & (extent < 1 - STEP / 2)
        lower = _counted_from_one(low + 1, 2 * STEP)
        upper = (
            pl.when(extent <= STEP / 2)
            .then(high + 1)
            .when(extent < 1 + STEP)
            .then(lower + STEP)
            .otherwise(high)
        )
        shown = (
            pl.when(extent > STEP / 2)
            .then(pl.max_horizontal(_counted_from_one(upper, STEP), lower + STEP))
            .otherwise(_counted_from_one(upper, 2 * STEP))  # corners that coincide or are swapped stay so
        )
        moved |= ((lower - low - 1).abs() > NEAR) | ((extent >= 1 + STEP) & ((shown - high).abs() > NEAR))
        corners[f"{side}min"], corners[f"{side}max"] = lower, shown
    with_corners = boxes.with_columns(narrow.alias("narrow"), moved.alias("moved"), **corners)
    count = int(with_corners["narrow"].sum())
    sentence = (
        f"{count:,} box{'es' if count > 1 else ''} narrower than a pixel: corners that count from 1 hold whole "
        "pixels, so that each is one pixel wide or high."
    )
    lost = [sentence] if count else []
    if changed := int(with_corners["moved"].sum()):
        lost.append(
            f"Up to half a pixel of {changed:,} box{'es' if changed > 1 else ''} that end just outside the image: "
            "corners between 0 and 1 would say that all of them count from 0."
        )
    return with_corners, lost


def _counted_from_one(corner: pl.Expr, below: float) -> pl.Expr:
    """The same corner, or the nearer of 1 and just below 0 where it is from 0 to below 1."""
    nearer = pl.when(corner < 0.5).then(-below).otherwise(1.0)
    return pl.when((corner > -STEP / 2) & (corner < 1 - STEP / 2)).then(nearer).otherwise(corner)


def _object() -> pl.Expr:
    """One <object> as text."""
    flags = [
        pl.when(pl.col(name).is_finite())
        .then(pl.format("\n    <{}>{}</{}>", pl.lit(name), plain(pl.col(name)), pl.lit(name)))
        .otherwise(pl.lit(""))
        .fill_null("")
        for name in FLAGS
    ]
    return pl.format(
        "  <object>\n    <name>{}</name>{}{}{}{}\n    <bndbox>\n      <xmin>{}</xmin>\n      <ymin>{}</ymin>\n"
        "      <xmax>{}</xmax>\n      <ymax>{}</ymax>\n    </bndbox>\n  </object>\n",
        escaped(pl.col("label")),
        "others",
        *flags,
        *(plain(pl.col(corner)) for corner in ("xmin", "ymin", "xmax", "ymax")),
    )


def _head(row: dict[str, object]) -> str:
    """All that stands above the objects."""
    size = ""
    if row["width"] is not None and row["height"] is not None:
        size = (
            f"  <size>\n    <width>{row['width']}</width>\n    <height>{row['height']}</height>\n"
            f"    <depth>{row['depth'] or 3}</depth>\n  </size>\n"
        )
    return f"<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{escape(str(row['name']))}</filename>\n{size}"


def _write_lists(collection: Collection, sink: Sink) -> None:
    """One list of ids a split, and trainval where there is a train and a val, as in VOC itself."""
    lists = {
        split: [stem(name) for name in collection.images.filter(pl.col("split") == split)["name"]]
        for split in collection.splits
    }
    halves = [split for split in lists if splits.role(split) in {"train", "val"}]
    if len(halves) == 2 and splits.role(halves[0]) != splits.role(halves[1]):
        lists.setdefault("trainval", sorted(lists[halves[0]] + lists[halves[1]]))
    for split, ids in lists.items():
        sink.write(f"ImageSets/Main/{split}.txt", "".join(f"{one}\n" for one in ids).encode())


WRITER = Writer("Pascal VOC", _place, _write, declares_sizes=True, one_folder=True)
