"""`trainworthy split`: a copy of a dataset divided into training, validation and test."""

from __future__ import annotations

import dataclasses
import shlex
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import auditing, formats
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.operations import faults, writing
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.scene_groups import scene_groups
from trainworthy_audit.operations.sink import check, open_sink
from trainworthy_audit.operations.split.division import RATIOS, divide, label_pairs, shares
from trainworthy_audit.rules import catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.source import Source

__all__ = ["RATIOS", "run"]


def run(
    source: Source,
    config: Config,
    measurer: Measurer,
    *,
    out: Path,
    zipped: bool = False,
    ratios: Sequence[float] = RATIOS,
    seed: int = 0,
    again: bool = False,
) -> Changes:
    """Write a copy of the dataset whose images are divided by `ratios`, images of one scene together.

    `ratios` are for training and validation, or for training, validation and test. Images that are in a split stay
    there unless `again`. Raises `DatasetError`, `ConfigError` where there is nothing to divide, and `OutputError`.
    """
    shares(ratios)  # raises before anything is read
    check(out, [source], zipped=zipped)
    evidence = auditing.gather(
        source, formats.read(source, config.format, config.annotations, config.images), config, measurer
    )
    scenes = scene_groups(evidence, measurer.thumbnails, config.options_of(catalogue()["D002"]))
    changes = Changes("split", sources=(str(source.path),), out=str(out))
    collection = faults.screened(evidence, source, config, changes, to=evidence.dataset.format)
    images = collection.images
    paths = evidence.images.select("path", pl.col("image").alias("number"))
    scene = scenes["scene"].to_numpy()[
        images.join(paths, on="path", maintain_order="left")["number"].to_numpy()
    ]
    if images.is_empty():
        with open_sink(out, [source], zipped=zipped) as sink:
            writing.write(collection, evidence.dataset.format, sink, changes)
        return changes
    if again:
        images = images.with_columns(pl.lit(None, pl.String).alias("split"))
    division = divide(images, collection.boxes, scene, ratios, seed)
    if not division.assigned.any():
        raise ConfigError(
            f"every image is in a split already: {_sizes(collection.images['split'], collection.splits)}\n"
            "  They are respected.",
            next_step=shlex.join(["trainworthy", "split", str(source.path), "--out", str(out), "--again"]),
        )
    divided = dataclasses.replace(
        collection,
        images=collection.images.with_columns(division.split),
        splits=division.names,
        lost=tuple(sentence for sentence in collection.lost if "(D003)" not in sentence or not again),
    )
    _record_moves(collection, divided, changes)
    _warn_of_divided_scenes(scene, division.split, changes)
    leaks = faults.findings(evidence, config, "D003").height
    if again and leaks:
        changes.notes.append(
            f"Divided anew, with every scene in one split (D003): {leaks:,} were in several."
        )
    _note_labels(divided, changes)
    changes.notes.append(f"Images by split: {_sizes(division.split, division.names)}. Seed {seed}.")
    with open_sink(out, [source], zipped=zipped) as sink:
        writing.write(divided, evidence.dataset.format, sink, changes)
    return changes


# ------------------------------------------------------------------------------------------------------------
# What is reported


def _record_moves(before: Collection, after: Collection, changes: Changes) -> None:
    """A row for each image that is in another split than before."""
    moved = before.images.select("path", "split", after.images["split"].alias("new"))
    for path, old, new in moved.filter(pl.col("split").ne_missing(pl.col("new"))).iter_rows():
        changes.add("assigned", path=path, before=old, after=new)


def _warn_of_divided_scenes(scenes: NDArray[np.integer], split: pl.Series, changes: Changes) -> None:
    """How many scenes are in several splits: those whose images were left where they are."""
    places = pl.DataFrame({"scene": scenes, "split": split})
    several = places.group_by("scene").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height
    if several:
        changes.notes.append(
            f"{several:,} scene{'s are' if several > 1 else ' is'} in several splits, as before (D003): "
            "--again divides everything anew, `trainworthy fix --select D003` moves as little as possible."
        )


def _note_labels(collection: Collection, changes: Changes) -> None:
    """A note for each label: how many of its images each split has, and which split has none."""
    pairs, labels = label_pairs(collection.images, collection.boxes)
    placed = pairs.with_columns(collection.images["split"].gather(pairs["at"]).alias("split"))
    counts = {
        (label, name): count for label, name, count in placed.group_by("label", "split").len().iter_rows()
    }
    for label in labels:
        by_split = {name: counts.get((label, name), 0) for name in collection.splits}
        listed = ", ".join(f"{name} {count:,}" for name, count in by_split.items())
        subject = f'images with "{label}"' if label else "images without any box"
        changes.notes.append(f"{subject}: {listed}")
        lacking = [name for name, count in by_split.items() if not count]
        if label and lacking:
            changes.notes.append(
                f'warning: "{label}" does not reach {" and ".join(lacking)}: it is in too few scenes (S003)'
            )


def _sizes(split: pl.Series, names: Sequence[str]) -> str:
    counts = dict(split.value_counts().iter_rows())
    return ", ".join(f"{name} {counts.get(name, 0):,}" for name in names)
