"""Which images of a certified dataset are for training, validation and test."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from trainworthy_audit import splits
from trainworthy_audit.operations.split.division import NAMES, RATIOS, divide

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import Dataset


def split_images(
    annotations: Dataset, proof: Mapping[str, Any], excluded: Mapping[str, str], seed: int, notes: list[str]
) -> dict[str, str]:
    """{path: "train", "val" or "test"}: the dataset's own splits; missing ones by the rule of `trainworthy split`.

    Excluded images are in none. What is worth a sentence goes to `notes`.
    """
    images = annotations.images.filter(~pl.col("path").is_in(list(excluded)))
    own = {path: split for path, split in images.select("path", "split").iter_rows() if split is not None}
    present = {splits.role(split) for split in own.values()}
    if {"train", "val"} <= present:
        notes += _describe_unused(images["split"])
    elif not present or present & {"train", "other"}:
        return _divide(annotations, images, proof, seed, notes)
    # Else there is nothing to train on, and nothing to take it from.
    return {path: role for path, split in own.items() if (role := splits.role(split)) in NAMES}


def _describe_unused(split: pl.Series) -> list[str]:
    unused = Counter(name for name in split if splits.role(name) == "other")
    return [
        f"{count:,} image{'s' if count > 1 else ''} of "
        f"{'no split' if name is None else f'the split {name!r}'} not used"
        for name, count in unused.items()
    ]


def _divide(
    annotations: Dataset, images: pl.DataFrame, proof: Mapping[str, Any], seed: int, notes: list[str]
) -> dict[str, str]:
    """As `trainworthy split` divides: every label in every split, and images of one scene in one."""
    ratios = RATIOS if images["split"].is_null().all() else RATIOS[:2]
    scenes = np.array([proof["images"][path][2] for path in images["path"]], dtype=np.int64)
    division = divide(images, annotations.boxes, scenes, ratios, seed)
    notes += _describe_unused(division.split)
    roles = {path: splits.role(split) for path, split in zip(images["path"], division.split, strict=True)}
    counts = Counter(roles.values())
    notes.append(
        "The dataset does not say which images are for validation: divided by the rule of `trainworthy split` into "
        + ", ".join(f"{role} {counts[role]:,}" for role in splits.ROLES if counts[role] and role in NAMES)
    )
    return {path: role for path, role in roles.items() if role in NAMES}
