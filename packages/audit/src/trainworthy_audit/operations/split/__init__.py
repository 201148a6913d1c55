"""`trainworthy split`: a copy of a dataset divided for training, validation and test."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trainworthy_audit import audit as auditing
from trainworthy_audit import formats, roles
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.operations import writers
from trainworthy_audit.operations.changes import Changes
from trainworthy_audit.operations.collection import collect
from trainworthy_audit.operations.families import families
from trainworthy_audit.operations.sink import check, open_sink
from trainworthy_audit.operations.split.stratification import deal, units
from trainworthy_audit.rules import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainworthy_audit.config import Config
    from trainworthy_audit.measure import Measurer
    from trainworthy_audit.operations.collection import Collection
    from trainworthy_audit.source import Source

#: 80 % for training and validation and 20 % for test, then the 80 % again 80 to 20: the trainers' documentation.
RATIOS = (0.64, 0.16, 0.2)
NAMES = ("train", "val", "test")

#: What images without any box count as, so that every split gets its share of them too.
EMPTY = ""


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
    check(out, [source], zipped=zipped)
    evidence = auditing.gather(
        source, formats.read(source, config.format, config.annotations), config, measurer
    )
    scene = families(evidence, measurer.thumbnails, config.options_of(catalogue()["D002"]))["scene"]
    changes = Changes("split", sources=(str(source.path),), out=str(out))
    made = divide(
        collect(evidence, source), scene.to_numpy(), shares(ratios), seed, again=again, changes=changes
    )
    with open_sink(out, [source], zipped=zipped) as sink:
        writers.write(made, made.kinds[0], sink, changes)
    return changes


def shares(ratios: Sequence[float]) -> dict[str, float]:
    """{"train": share, ...}, adding up to 1. Raises `ConfigError`."""
    if not 2 <= len(ratios) <= len(NAMES) or not all(0 < ratio < float("inf") for ratio in ratios):
        raise ConfigError(
            f"--ratios {','.join(f'{ratio:g}' for ratio in ratios)}\n"
            "  Expected two positive numbers, for train and val, or three, for train, val and test.",
            next_step="trainworthy split DATASET --out DIR --ratios 0.64,0.16,0.2",
        )
    return {name: ratio / sum(ratios) for name, ratio in zip(NAMES, ratios, strict=False)}


# ------------------------------------------------------------------------------------------------------------
# Planning


def divide(
    collection: Collection,
    scene: NDArray[np.integer],
    wanted: Mapping[str, float],
    seed: int,
    *,
    again: bool,
    changes: Changes,
) -> Collection:
    """The collection with a split for each image; `scene` has the scene of each, (n,).

    What moved goes to `changes`, and what could not be had. Raises `ConfigError` where every image is in a split.
    """
    names, current, given = _named(collection, wanted, again=again)
    group = np.unique(scene, return_inverse=True)[1]
    fixed = _fixed(group, current)
    if (fixed >= 0).all():
        raise ConfigError(
            f"every image is in a split already: {_sizes(collection.images['split'], collection.splits)}\n"
            "  They are respected.",
            next_step="trainworthy split DATASET --out DIR --again",
        )
    pairs, labels = _pairs(collection)
    what = units(group, pairs["image"].to_numpy().astype(np.int64), pairs["number"].to_numpy(), len(labels))
    dealt = deal(what, given, fixed, seed)[group]
    final = np.where(current >= 0, current, dealt)
    split = pl.Series("split", [names[number] for number in final], dtype=pl.String)
    _tell(collection, split, changes)
    _warn_of_straddling(scene, final, names, changes)
    _tell_shares(pairs, labels, split, [name for name in names if name in set(split)], changes)
    made = dataclasses.replace(
        collection,
        images=collection.images.with_columns(split),
        splits=tuple(name for name in names if name in set(split)),
        left=tuple(said for said in collection.left if "(D003)" not in said or not again),
    )
    changes.notes.append(f"Images by split: {_sizes(split, made.splits)}. Seed {seed}.")
    return made


def _named(
    collection: Collection, wanted: Mapping[str, float], *, again: bool
) -> tuple[list[str], NDArray[np.int64], list[float]]:
    """The names of all splits, those that are wanted first; which one each image stays in, or -1; their shares.

    A share is 0 where a split is to stay as it is.
    A split that is there for the same purpose keeps its own name: 'valid' is what was wanted as 'val'. Where a
    wanted one is missing, it is taken out of training, or out of what has no known purpose, such as 'trainval'.
    """
    present = [] if again else [name for name in collection.splits if name in set(collection.images["split"])]
    purposes = {roles.of(name): name for name in reversed(present)}
    shares = {purposes.get(roles.of(name), name): share for name, share in wanted.items()}
    training = next(iter(shares))
    names = [*shares, *(name for name in present if name not in shares)]
    free: set[str] = set()
    if not set(shares) <= set(present):
        free = {training} if training in present else {name for name in present if roles.of(name) == "other"}
    if free:
        whole = sum(share for name, share in shares.items() if name in free or name not in present)
        shares = {
            name: share / whole for name, share in shares.items() if name in free or name not in present
        }
    number = {name: index for index, name in enumerate(names) if name in present and name not in free}
    current = [number.get(name, -1) if name is not None else -1 for name in collection.images["split"]]
    return names, np.array(current, dtype=np.int64), [shares.get(name, 0.0) for name in names]


def _fixed(group: NDArray[np.int64], current: NDArray[np.int64]) -> NDArray[np.int64]:
    """(G,) the split that a group's images are in most often, -1 where none of them is in any."""
    fixed = np.full(int(group.max(initial=-1)) + 1, -1, dtype=np.int64)
    placed = current >= 0
    pairs, counts = np.unique(np.stack([group[placed], current[placed]]), axis=1, return_counts=True)
    order = np.argsort(counts, kind="stable")  # the most frequent is written last
    fixed[pairs[0, order]] = pairs[1, order]
    return fixed


def _pairs(collection: Collection) -> tuple[pl.DataFrame, list[str]]:
    """Distinct pairs of `image` and the `number` of a label, and the labels; images without boxes have `EMPTY`."""
    found = collection.boxes.select("image", "label").unique()
    empty = collection.images.join(found, on="image", how="anti").select(
        "image", pl.lit(EMPTY).alias("label")
    )
    pairs = pl.concat([found, empty])
    labels = pairs["label"].unique().sort().to_list()
    number = pl.col("label").replace_strict(
        {name: index for index, name in enumerate(labels)}, return_dtype=pl.Int64
    )
    return pairs.with_columns(number.alias("number")).sort("image", "number"), labels


# ------------------------------------------------------------------------------------------------------------
# What is said


def _tell(collection: Collection, split: pl.Series, changes: Changes) -> None:
    """A row for each image that is not where it was."""
    moved = collection.images.select("path", pl.col("split").alias("before")).with_columns(split)
    for path, before, after in moved.filter(pl.col("before").ne_missing(pl.col("split"))).iter_rows():
        changes.add("assigned", path=path, before=before, after=after)


def _warn_of_straddling(
    scene: NDArray[np.integer], final: NDArray[np.int64], names: Sequence[str], changes: Changes
) -> None:
    """Say how many scenes are in several splits, which only those are that stay as they were."""
    where = pl.DataFrame({"scene": scene, "split": [names[number] for number in final]})
    several = where.group_by("scene").agg(pl.col("split").n_unique()).filter(pl.col("split") > 1).height
    if several:
        changes.notes.append(
            f"{several:,} scene{'s are' if several > 1 else ' is'} in several splits, as before (D003): "
            "--again divides everything anew, `trainworthy fix --select D003` moves as little as possible."
        )


def _tell_shares(
    pairs: pl.DataFrame, labels: Sequence[str], split: pl.Series, names: Sequence[str], changes: Changes
) -> None:
    """One note a label that is missing from a split, and a row a label with how many of its images each split has."""
    placed = pairs.with_columns(split.gather(pairs["image"]).alias("split"))
    counts = {
        (label, name): count for label, name, count in placed.group_by("label", "split").len().iter_rows()
    }
    for label in labels:
        here = {name: counts.get((label, name), 0) for name in names}
        told = ", ".join(f"{name} {count:,}" for name, count in here.items())
        what = f'images with "{label}"' if label else "images without any box"
        changes.notes.append(f"{what}: {told}")
        lacking = [name for name, count in here.items() if not count]
        if label and lacking:
            changes.notes.append(
                f'warning: "{label}" does not reach {" and ".join(lacking)}: it is in too few scenes (S003)'
            )


def _sizes(split: pl.Series, names: Sequence[str]) -> str:
    counts = dict(split.value_counts().iter_rows())
    return ", ".join(f"{name} {counts.get(name, 0):,}" for name in names)
