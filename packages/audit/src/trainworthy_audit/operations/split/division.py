"""Which split each image goes to: every split gets its share of every label, and scenes are never divided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.errors import ConfigError
from trainworthy_audit.operations.split.stratification import assign, count_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

#: 80 % for training and validation and 20 % for test, then the 80 % again 80 to 20: the trainers' documentation.
RATIOS = (0.64, 0.16, 0.2)
NAMES = ("train", "val", "test")

#: The label of images without any box, so that every split gets its share of them too.
NO_BOX = ""


class Division(NamedTuple):
    """What `divide` returns."""

    split: pl.Series  # (n,) the name of each image's split
    names: tuple[str, ...]  # the splits that have an image, those of `ratios` first
    assigned: NDArray[np.bool_]  # (n,) False for an image that stays in the split that it was in


def divide(
    images: pl.DataFrame,
    boxes: pl.DataFrame,
    scenes: NDArray[np.integer],
    ratios: Sequence[float] = RATIOS,
    seed: int = 0,
) -> Division:
    """Assign the images to train and val, or to train, val and test, in these ratios.

    `images` has n rows with `image` and `split`, which is null where an image is in none; `boxes` has `image` and
    `label`; `scenes` (n,) numbers the scene of each image. Images that are in a split stay there, but that a missing
    one is taken out of training. A scene goes to one split, the one that some of its images are in already. The same
    `seed` gives the same answer. Raises `ConfigError` for ratios that make no sense.
    """
    names, current, wanted = _splits(images["split"], shares(ratios))
    group = np.unique(scenes, return_inverse=True)[1]
    pairs, labels = label_pairs(images, boxes)
    counts = count_labels(group, pairs["at"].to_numpy(), pairs["number"].to_numpy(), len(labels))
    chosen = assign(counts, wanted, _split_of_scenes(group, current), seed)[group]
    final = np.where(current >= 0, current, chosen)
    split = pl.Series("split", [names[number] for number in final], dtype=pl.String)
    used = set(split)
    return Division(split, tuple(name for name in names if name in used), current < 0)


def shares(ratios: Sequence[float]) -> dict[str, float]:
    """{"train": share, ...}, adding up to 1. Raises `ConfigError`."""
    if not 2 <= len(ratios) <= len(NAMES) or not all(0 < ratio < float("inf") for ratio in ratios):
        raise ConfigError(
            f"--ratios {','.join(f'{ratio:g}' for ratio in ratios)}\n"
            "  Expected two positive numbers, for train and val, or three, for train, val and test.",
            next_step="trainworthy split DATASET --out DIR --ratios 0.64,0.16,0.2",
        )
    return {name: ratio / sum(ratios) for name, ratio in zip(NAMES, ratios, strict=False)}


def label_pairs(images: pl.DataFrame, boxes: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The distinct labels of each image, and all labels sorted; an image without boxes has the label `NO_BOX`.

    The frame has `at` (row of `images`), `label` and `number` (index into the labels), sorted.
    """
    rows = images.select("image").with_row_index("at")
    found = boxes.join(rows, on="image").select("at", "label").drop_nulls().unique()
    without = rows.join(found, on="at", how="anti").select("at", pl.lit(NO_BOX).alias("label"))
    pairs = pl.concat([found, without])
    labels = pairs["label"].unique().sort().to_list()
    index = {label: number for number, label in enumerate(labels)}
    number = pl.col("label").replace_strict(index, return_dtype=pl.Int64)
    return pairs.with_columns(pl.col("at").cast(pl.Int64), number.alias("number")).sort(
        "at", "number"
    ), labels


def _splits(
    given: pl.Series, wanted: Mapping[str, float]
) -> tuple[list[str], NDArray[np.int64], list[float]]:
    """The names of all splits, those wanted first; (n,) the one that each image stays in, or -1; their shares.

    A share is 0 where a split is to stay as it is. A split with the role of a wanted one keeps its own name: 'valid'
    is what was wanted as 'val'. A missing one is taken out of training, or out of splits of unknown role, such as
    'trainval'.
    """
    present = given.drop_nulls().unique(maintain_order=True).to_list()
    by_role = {splits.role(name): name for name in reversed(present)}
    shares = {by_role.get(splits.role(name), name): share for name, share in wanted.items()}
    training = next(iter(shares))
    names = [*shares, *(name for name in present if name not in shares)]
    free: set[str] = set()
    if not set(shares) <= set(present):
        free = (
            {training} if training in present else {name for name in present if splits.role(name) == "other"}
        )
    if free:
        shares = {name: share for name, share in shares.items() if name in free or name not in present}
        shares = {name: share / sum(shares.values()) for name, share in shares.items()}
    number = {name: index for index, name in enumerate(names) if name in present and name not in free}
    current = [number.get(name, -1) for name in given]
    return names, np.array(current, dtype=np.int64), [shares.get(name, 0.0) for name in names]


def _split_of_scenes(group: NDArray[np.integer], current: NDArray[np.int64]) -> NDArray[np.int64]:
    """(G,) the split that most images of a scene stay in, -1 where none of them is in any."""
    fixed = np.full(int(group.max(initial=-1)) + 1, -1, dtype=np.int64)
    placed = current >= 0
    pairs, counts = np.unique(np.stack([group[placed], current[placed]]), axis=1, return_counts=True)
    order = np.argsort(counts, kind="stable")  # the most frequent is written last
    fixed[pairs[0, order]] = pairs[1, order]
    return fixed
