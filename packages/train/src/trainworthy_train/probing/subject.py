"""An audit -> what can be probed: the images that decode, and the boxes that can be placed in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trainworthy_audit import splits as roles
from trainworthy_audit.evidence import scenes
from trainworthy_train.types import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import AuditResult
    from trainworthy_train.types import Array

EDGES = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True, eq=False)
class Subject:
    """What is probed. Images are numbered as in `samples`."""

    name: str
    root: str  # as the user gave it
    fingerprint: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]  # sorted by path; without crowds
    scenes: Array  # (images,) int64: images of one scene have one number
    rows: tuple[Array, ...]  # of each image, the numbers (n,) of its boxes in `boxes`
    splits: tuple[str, ...]  # of each image: "train", "val", "test" or "other"
    boxes: pl.DataFrame  # row, path, annotation, line, box, label and the edges, clipped to the image
    not_judged: Mapping[str, int]  # {why: boxes}


def from_audit(audit: AuditResult, source: Source) -> Subject:
    """What can be probed of a dataset, audited with verdict or without."""
    evidence = audit.evidence
    dataset = evidence.dataset
    scene = scenes.scene_of(evidence, scenes.links(evidence, recordings=True))
    images = evidence.images.join(scene, on="image", maintain_order="left").filter(
        pl.col("status") == "ok", pl.col("width") > 0, pl.col("height") > 0
    )
    classes = tuple(dict.fromkeys(dataset.classes))
    boxes, not_judged = _judged(evidence.boxes, images, classes)
    numbers = {label: number for number, label in enumerate(classes)}
    by_image = boxes.partition_by("image", as_dict=True, maintain_order=True)
    samples, rows = [], []
    for image, path, width, height in images.select("image", "path", "width", "height").iter_rows():
        own = by_image.get((image,), boxes.clear())
        samples.append(
            Sample(
                path=path,
                locator=source.entries[path].locator,
                digest=audit.digests[path],
                boxes=own.select(EDGES).to_numpy().astype(np.float32).reshape(-1, 4),
                labels=np.array([numbers[label] for label in own["label"]], np.int64),
                crowd=np.zeros(own.height, np.bool_),
                width=width,
                height=height,
            )
        )
        rows.append(own["number"].to_numpy().astype(np.int64))
    return Subject(
        name=audit.name,
        root=dataset.root,
        fingerprint=audit.fingerprint,
        classes=classes,
        samples=tuple(samples),
        scenes=images["scene"].to_numpy().astype(np.int64),
        rows=tuple(rows),
        splits=tuple(roles.role(split) for split in images["split"]),
        boxes=boxes,
        not_judged=not_judged,
    )


def _judged(
    boxes: pl.DataFrame, images: pl.DataFrame, classes: tuple[str, ...]
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The boxes that can be placed in these images, numbered; and {why: how many} cannot."""
    paths = images.select("image", "path", "width", "height")
    placed = boxes.drop("path", "width", "height", strict=False).join(
        paths, on="image", how="left", maintain_order="left"
    )
    clipped = placed.with_columns(
        *(pl.col(edge).clip(0.0, pl.col("width")) for edge in ("x1", "x2")),
        *(pl.col(edge).clip(0.0, pl.col("height")) for edge in ("y1", "y2")),
    )
    area = (pl.col("x2") > pl.col("x1")) & (pl.col("y2") > pl.col("y1"))
    reason = (
        pl.when(pl.col("path").is_null())
        .then(pl.lit("their image is missing or does not decode"))
        .when(~pl.col("label").is_in(classes).fill_null(value=False))
        .then(pl.lit("their label is not known"))
        .when(pl.col("crowd").fill_null(0.0) > 0)
        .then(pl.lit("they are crowds"))
        .when(~(pl.col("finite") & area).fill_null(value=False))
        .then(pl.lit("they have no area inside their image"))
    )
    marked = clipped.with_columns(reason=reason)
    left_out = marked.drop_nulls("reason").group_by("reason").len().sort("len", descending=True)
    columns = ("image", "path", "row", "annotation", "line", "box", "label", *EDGES)
    kept = marked.filter(pl.col("reason").is_null()).select(columns).with_row_index("number")
    return kept, dict(left_out.iter_rows())
