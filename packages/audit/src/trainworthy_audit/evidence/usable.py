"""Boxes that a trainer would use, and the splits that have none. Rules about learning count these only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.splits import Role, with_role

if TYPE_CHECKING:
    from trainworthy_audit.types import Dataset

#: Splits without which nothing is learnt, or measured.
NEEDED: tuple[Role, ...] = ("train", "val")


def of_images(boxes: pl.DataFrame) -> pl.DataFrame:
    """The rows of boxes whose images are there."""
    return boxes.filter(pl.col("image").is_not_null())


def boxes(boxes: pl.DataFrame) -> pl.DataFrame:
    """The rows of boxes whose images are there, crowds aside: trainers leave those out.

    A box with a defect that blocks by itself (no size, not finite, an unknown class) is counted: its own rule
    reports it.
    """
    return of_images(boxes).filter(~(pl.col("crowd").fill_null(0.0) > 0))


def unlabelled_splits(dataset: Dataset) -> dict[str, int]:
    """{split: images} of the splits for training and for validation in which no image has such a box.

    Splits of one purpose are counted together. One with annotations that could not be read is none of them: it is
    not known what they say.
    """
    known = boxes(dataset.boxes)["image"]
    not_read = [*dataset.unread["image"].drop_nulls(), *dataset.unreadable_annotation]
    labelled = {*known.unique(), *not_read}
    unlabelled: dict[str, int] = {}
    for role in NEEDED:
        members = dataset.membership.filter(pl.col("split").is_in(with_role(dataset.splits, role))).unique()
        if labelled.isdisjoint(members["image"]):
            unlabelled |= dict(members.group_by("split", maintain_order=True).len().iter_rows())
    return unlabelled
