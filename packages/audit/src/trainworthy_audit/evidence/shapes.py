"""What is wrong with the polygons, keypoints and oriented boxes that boxes stand for, as readers noted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from trainworthy_audit.types import Evidence


def with_flaw(evidence: Evidence, flaw: str) -> pl.DataFrame:
    """The boxes whose shape has this flaw of `types.SHAPE_FLAWS`, with the column `measured`."""
    flaws = evidence.dataset.shape_flaws.filter(pl.col("flaw") == flaw)
    return evidence.boxes.join(flaws.select("row", "measured"), on="row", maintain_order="left")
