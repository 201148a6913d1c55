"""`trainworthy resize`: smaller images, upright, with their boxes, polygons, masks and keypoints."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit import dihedral, formats
from trainworthy_audit.errors import DatasetError
from trainworthy_audit.measure.engines import Failure
from trainworthy_audit.measure.engines.local import Engine
from trainworthy_audit.operations import faults, writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.operations.image_sizes import from_pixels
from trainworthy_audit.operations.placement import Placement
from trainworthy_audit.operations.resize.pixels import WRITTEN
from trainworthy_audit.operations.sink import check, open_sink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Evidence


class Plan(NamedTuple):
    """What becomes of an image that is written anew."""

    orientation: int  # EXIF orientation that is applied to the pixels
    placement: Placement  # what happens to its boxes: not turned where they were drawn on the upright image


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

    EXIF orientation is applied to images and boxes, and removed. `workers` is the number of processes, 0 for one a
    core; `progress` is called with how many images are done, and of how many. Raises `DatasetError` and `OutputError`;
    then nothing is left of the new dataset.
    """
    check(out, [source], zipped=zipped)
    evidence = from_pixels(
        source, formats.read(source, config.format, config.annotations, config.images), measurer
    )
    changes = Changes("resize", sources=(str(source.path),), out=str(out))
    plans = _plans(evidence, max_side, changes)
    moved = {image for image, plan in plans.items() if plan.orientation == plan.placement.orientation}
    screened = faults.screened(evidence, source, config, changes, to=evidence.dataset.format, rewritten=moved)
    paths = evidence.images["path"]
    number = dict(screened.images.select("path", "image").iter_rows())
    plans = {number[paths[image]]: plan for image, plan in plans.items() if paths[image] in number}
    collection = _resized(screened, plans)
    with Engine(workers) as engine, open_sink(out, [source], zipped=zipped) as sink:
        pixels = _Pixels(source, collection, plans, engine, progress)
        writing.write(dataclasses.replace(collection, pixels=pixels), evidence.dataset.format, sink, changes)
    return changes


# ------------------------------------------------------------------------------------------------------------
# What becomes of images and boxes


def _plans(evidence: Evidence, max_side: int, changes: Changes) -> dict[int, Plan]:
    """{image: what becomes of it}, of those that are written anew; why others are not goes to `changes`."""
    plans: dict[int, Plan] = {}
    skipped: Counter[str] = Counter()
    drawn_upright = 0
    for row in evidence.images.iter_rows(named=True):
        orientation = row["orientation"] or 1
        if orientation == 1 and row["width"] is not None and max(row["width"], row["height"]) <= max_side:
            continue
        reason = _why_not(row)
        if reason:
            skipped[reason] += 1
            continue
        stored = (row["width"], row["height"])
        upright = dihedral.turn_size(dihedral.from_exif(orientation), *stored)
        scale = min(1.0, max_side / max(upright))
        after = (max(1, round(upright[0] * scale)), max(1, round(upright[1] * scale)))
        placement = Placement(orientation, stored, after)
        if upright != stored and (row["declared_width"], row["declared_height"]) == upright:
            drawn_upright += 1
            placement = Placement(1, upright, after)
        plans[row["image"]] = Plan(orientation, placement)
    changes.lose(f"{_images(count)} not resized: {reason}." for reason, count in skipped.items())
    if drawn_upright:
        changes.notes.append(
            f"The annotations of {_images(drawn_upright)} declare the size of the upright picture (I004): their boxes "
            "were taken to be drawn on that, and were not turned; what reaches outside the stored pixels (B001) "
            "lies inside the upright ones."
        )
    return plans


def _images(count: int) -> str:
    return f"{count:,} image{'s' if count != 1 else ''}"


def _why_not(row: Mapping[str, Any]) -> str:
    """Why an image is copied as it is; '' where it can be written anew."""
    if row["status"] != "ok":
        # A damaged image would look whole afterwards.
        return f"{row['status']}, copied as it is; trainworthy fix sets such images aside"
    if row["format"] not in WRITTEN:
        return f"{row['format']}, which is not written"
    if (row["frames"] or 1) > 1:
        return "it has several frames"
    return ""


def _resized(collection: Collection, plans: Mapping[int, Plan]) -> Collection:
    """The images with the size and orientation that they will have, and the boxes moved with them."""
    sizes = dict.fromkeys(("image", "from_width", "from_height", "width", "height"), pl.UInt32)
    rows = [
        (image, *placement.before, *placement.after, placement.orientation)
        for image, (_, placement) in plans.items()
    ]
    changed = pl.DataFrame(rows, schema=sizes | {"orientation": pl.UInt8}, orient="row")
    images = collection.images.update(changed, on="image")
    return dataclasses.replace(collection, images=images, boxes=_moved(collection.boxes, plans))


def _moved(boxes: pl.DataFrame, plans: Mapping[int, Plan]) -> pl.DataFrame:
    """The boxes where their images show them now."""
    edges = boxes.select(EDGES).to_numpy().astype(np.float64)
    images = boxes["image"].to_numpy()
    placed: dict[Placement, list[int]] = defaultdict(list)
    for image, plan in plans.items():
        placed[plan.placement].append(image)
    for placement, numbers in placed.items():
        there = np.isin(images, numbers)
        edges[there] = placement.boxes(edges[there])
    return boxes.with_columns(pl.Series(edge, edges[:, at]) for at, edge in enumerate(EDGES))


# ------------------------------------------------------------------------------------------------------------
# Pixels


class _Pixels:
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
            (*source.entries[self._path[image]].locator, plan.orientation, *plan.placement.after)
            for image, plan in plans.items()
        ]
        self._results = engine.run("trainworthy_audit.operations.resize.pixels:resize_files", items)
        self._early: dict[int, Any] = {}
        self._done = 0
        self._progress = progress
        self._source = source

    def __call__(self, image: int) -> bytes | None:
        """The new bytes of an image; None where it is copied."""
        if image not in self._plans:
            return None
        while image not in self._early:
            index, result = next(self._results)
            self._early[self._order[index]] = result
        self._done += 1
        if self._progress:
            self._progress(self._done, len(self._order))
        result = self._early.pop(image)
        if isinstance(result, Failure):
            raise DatasetError(
                f"cannot resize {self._path[image]}: {result.kind}, {result.detail}\n  Nothing was written.",
                next_step=f"trainworthy audit {shlex.quote(str(self._source.path))}",
            )
        return bytes(result)
