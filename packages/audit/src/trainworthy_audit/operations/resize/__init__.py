"""`trainworthy resize`: smaller images, upright, and their boxes with them."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit import dihedral, formats
from trainworthy_audit.errors import DatasetError
from trainworthy_audit.measure.engines.local import Engine, Failure
from trainworthy_audit.operations import writers
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import EDGES, collect
from trainworthy_audit.operations.image_sizes import from_pixels
from trainworthy_audit.operations.resize.pixels import WRITTEN
from trainworthy_audit.operations.resize.turning import moved_boxes
from trainworthy_audit.operations.sink import check, open_sink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Evidence

Size = tuple[int, int]


class Plan(NamedTuple):
    """What becomes of one image. None stands for an image that is copied as it is."""

    before: Size  # of the picture on which the boxes were drawn
    after: Size
    turn: int  # EXIF orientation that is applied to the pixels
    boxes_turn: int  # the same for boxes; 1 where they were drawn on the upright picture


def run(
    source: Source,
    config: Config,
    measurer: Measurer,
    *,
    max_side: int,
    out: Path,
    zipped: bool = False,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Changes:
    """Write the dataset to `out`, no image wider or higher than `max_side` pixels, none enlarged.

    EXIF orientation is applied to images and boxes, and removed. `progress` is called with how many images are
    done, and of how many. Raises `DatasetError` and `OutputError`; then nothing is left of the new dataset.
    """
    check(out, [source], zipped=zipped)
    evidence = from_pixels(source, formats.read(source, config.format, config.annotations), measurer)
    changes = Changes("resize", sources=(str(source.path),))
    collection = collect(evidence, source)
    plans = _plans(evidence, max_side, changes)
    collection = _planned(collection, plans)
    with Engine(workers) as engine, open_sink(out, [source], zipped=zipped) as sink:
        rewritten = _Rewritten(source, collection, plans, engine, progress)
        writers.write(dataclasses.replace(collection, pixels=rewritten), collection.formats[0], sink, changes)
    return changes


# ------------------------------------------------------------------------------------------------------------
# What becomes of images and boxes


def _plans(evidence: Evidence, max_side: int, changes: Changes) -> dict[int, Plan]:
    """{image: what becomes of it}, of those that are written anew; what is not is said."""
    plans: dict[int, Plan] = {}
    left: Counter[str] = Counter()
    redrawn = 0
    for row in evidence.images.iter_rows(named=True):
        turn = row["orientation"] or 1
        if turn == 1 and row["width"] is not None and max(row["width"], row["height"]) <= max_side:
            continue
        reason = _why_not(row)
        if reason:
            left[reason] += 1
            continue
        stored = (row["width"], row["height"])
        shown = dihedral.turn_size(dihedral.from_exif(turn), *stored)
        scale = min(1.0, max_side / max(shown))
        after = (max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale)))
        if shown != stored and (row["declared_width"], row["declared_height"]) == shown:
            redrawn += 1
            plans[row["image"]] = Plan(shown, after, turn, 1)
        else:
            plans[row["image"]] = Plan(stored, after, turn, turn)
    changes.lose(f"{_images(count)} not resized: {reason}." for reason, count in left.items())
    if redrawn:
        changes.notes.append(
            f"The annotations of {_images(redrawn)} declare the size of the upright picture (I004): their boxes were "
            "taken to be drawn on that, and were not turned."
        )
    return plans


def _images(count: int) -> str:
    return f"{count:,} image{'s' if count != 1 else ''}"


def _why_not(row: Mapping[str, Any]) -> str:
    """Why an image is copied as it is; '' where it can be written anew."""
    if row["status"] != "ok":
        # A damaged picture would look whole afterwards.
        return f"{row['status']}, copied as it is; trainworthy fix sets such images aside"
    if row["format"] not in WRITTEN:
        return f"{row['format']}, which is not written"
    if (row["frames"] or 1) > 1:
        return "it has several frames"
    return ""


def _planned(collection: Collection, plans: Mapping[int, Plan]) -> Collection:
    """The images with the size and orientation that they will have, and the boxes moved there."""
    schema = dict.fromkeys(("image", "from_width", "from_height", "width", "height"), pl.UInt32)
    rows = [(image, *plan.before, *plan.after, plan.boxes_turn) for image, plan in plans.items()]
    changed = pl.DataFrame(rows, schema=schema | {"turn": pl.UInt8}, orient="row")
    images = collection.images.update(changed, on="image")
    return dataclasses.replace(collection, images=images, boxes=_moved(collection.boxes, images))


def _moved(boxes: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The boxes where their images show them now."""
    placed = boxes.join(images, on="image", how="left", maintain_order="left")
    edges = boxes.select(EDGES).to_numpy().astype(np.float64)
    columns = placed.select("turn", "from_width", "from_height", "width", "height")
    for kind in columns.unique().drop_nulls().iter_rows():
        turn, *sizes = kind
        rows = columns.select(
            pl.all_horizontal(
                pl.col(name) == value for name, value in zip(columns.columns, kind, strict=True)
            )
        ).to_series()
        where = rows.fill_null(value=False).to_numpy()
        edges[where] = moved_boxes(edges[where], turn, tuple(sizes[:2]), tuple(sizes[2:]))
    return boxes.with_columns(pl.Series(edge, edges[:, at]) for at, edge in enumerate(EDGES))


# ------------------------------------------------------------------------------------------------------------
# Pixels


class _Rewritten:
    """The bytes of images that are written anew, made by worker processes ahead of being asked for, in order."""

    def __init__(
        self,
        source: Source,
        collection: Collection,
        plans: Mapping[int, Plan],
        engine: Engine,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._plans = plans
        self._path = dict(collection.images.select("image", "path").iter_rows())
        self._order = list(plans)
        items = [
            (*source.entries[self._path[image]].locator, plan.turn, *plan.after)
            for image, plan in plans.items()
        ]
        self._answers = engine.run("trainworthy_audit.operations.resize.pixels:resize_files", items)
        self._early: dict[int, Any] = {}
        self._done = 0
        self._progress = progress
        self._source = source

    def __call__(self, image: int) -> bytes | None:
        """The new bytes of an image; None where it is copied."""
        if image not in self._plans:
            return None
        while image not in self._early:
            index, answer = next(self._answers)
            self._early[self._order[index]] = answer
        self._done += 1
        if self._progress:
            self._progress(self._done, len(self._order))
        answer = self._early.pop(image)
        if isinstance(answer, Failure):
            raise DatasetError(
                f"cannot resize {self._path[image]}: {answer.kind}, {answer.detail}\n  Nothing was written.",
                next_step=f"trainworthy audit {shlex.quote(str(self._source.path))}",
            )
        return bytes(answer)
