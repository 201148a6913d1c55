"""Which findings have a card: a picture of their own in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from trainworthy_audit.report.shared.groups import Group

CARDS = {"error": 24, "warning": 16, "info": 8}  # findings of a rule that are shown with a picture
PER_IMAGE = 3  # of them that may be of one image


def pictured(group: Group) -> pl.DataFrame:
    """The findings of a rule that may have a card: the worst, and not all of one image."""
    turn = pl.int_range(pl.len()).over("image")
    on_images = group.worst.filter(pl.col("image").is_not_null()).filter(turn < PER_IMAGE)
    return on_images.head(CARDS[group.outcome.severity])
