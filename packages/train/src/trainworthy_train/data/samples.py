"""The images and boxes of a certified dataset that training can use, as `Sample`s."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit import formats
from trainworthy_audit.admission import boxes_in_pixels
from trainworthy_train.types import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

EDGES = ("x1", "y1", "x2", "y2")


def excluded_images(annotations: Dataset, proof: Mapping[str, Any]) -> dict[str, str]:
    """{path: why it is never loaded}.

    A waiver accepts a finding, but the image still cannot be learnt from: one that does not decode shows nothing, and
    a box that cannot be read makes its object part of the background. Such images are left out whole.
    """
    excluded: dict[str, str] = dict(proof["quarantined"])

    def exclude(images: pl.Series, reason: str) -> None:
        for path in annotations.images["path"].gather(images.drop_nulls().unique().sort()):
            excluded.setdefault(path, reason)

    for path in annotations.images["path"]:
        if path not in proof["images"]:
            excluded.setdefault(path, "its size is not known")
    boxes = annotations.boxes
    exclude(annotations.unread["image"], "an annotation of it cannot be read (A001)")
    exclude(
        pl.Series(sorted(annotations.unreadable_annotation), dtype=pl.UInt32),
        "its annotation cannot be read (A001)",
    )
    exclude(boxes.filter(pl.col("label").is_null())["image"], "a box of it has an unknown label (C001)")
    not_finite = boxes_in_pixels(annotations, proof).filter(~pl.col("finite"))
    exclude(not_finite["image"], "a box of it has no finite edges (B003)")
    if not formats.load(annotations.format).unannotated_is_negative:
        unannotated = annotations.images.filter(pl.col("annotation").is_null())
        exclude(unannotated["image"], "nothing says what it shows (A003)")
    return excluded


def describe_exclusions(excluded: Mapping[str, str]) -> list[str]:
    """A sentence for each reason, with how many images it concerns."""
    counts = Counter(reason.partition(":")[0] for reason in excluded.values())
    return [
        f"{count:,} image{'s are' if count > 1 else ' is'} never loaded: {reason}"
        for reason, count in counts.items()
    ]


def build_samples(
    source: Source,
    annotations: Dataset,
    proof: Mapping[str, Any],
    *,
    splits: Mapping[str, str],
    classes: Sequence[str],
    notes: list[str],
) -> dict[str, tuple[Sample, ...]]:
    """{"train": samples, "val": ..., "test": ...} of the images in `splits`, each sorted by path.

    Boxes are clipped to their image; those without area there, or of a label that is not in `classes`, are left out,
    which goes to `notes`.
    """
    boxes = boxes_in_pixels(annotations, proof).filter(pl.col("path").is_in(list(splits)))
    chosen = boxes.filter(pl.col("label").is_in(classes))
    if chosen.height < boxes.height:
        notes.append(f"{boxes.height - chosen.height:,} boxes of labels that were not asked for are left out")
    numbers = {label: number for number, label in enumerate(classes)}
    clipped = chosen.select(
        "path",
        *(pl.col(x).clip(0.0, pl.col("image_width")) for x in ("x1", "x2")),
        *(pl.col(y).clip(0.0, pl.col("image_height")) for y in ("y1", "y2")),
        pl.col("label").replace_strict(numbers, return_dtype=pl.Int64).alias("label"),
        (pl.col("crowd").fill_null(0.0) > 0).alias("crowd"),
    )
    usable = clipped.filter(pl.col("x2") > pl.col("x1"), pl.col("y2") > pl.col("y1"))
    if usable.height < clipped.height:
        notes.append(f"{clipped.height - usable.height:,} boxes without area inside their image are left out")
    by_path = usable.partition_by("path", as_dict=True, maintain_order=True)
    no_boxes = usable.clear()
    samples: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for path in sorted(splits):
        rows = by_path.get((path,), no_boxes)
        width, height, _scene = proof["images"][path]
        samples[splits[path]].append(
            Sample(
                path=path,
                locator=source.entries[path].locator,
                digest=proof["files"][path],
                boxes=rows.select(EDGES).to_numpy().astype(np.float32).reshape(-1, 4),
                labels=rows["label"].to_numpy().astype(np.int64),
                crowd=rows["crowd"].to_numpy().astype(np.bool_),
                width=width,
                height=height,
            )
        )
    return {split: tuple(members) for split, members in samples.items()}
