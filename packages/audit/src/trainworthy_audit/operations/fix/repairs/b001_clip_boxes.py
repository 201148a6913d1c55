"""B001: boxes are clipped to their image; one that is wholly outside is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    findings = state.box_findings("B001").select("row", "message")
    boxes = state.evidence.boxes.join(findings, on="row", how="left", maintain_order="left")
    found = pl.col("message").is_not_null()
    side = {"x": pl.col("image_width"), "y": pl.col("image_height")}
    clipped = boxes.with_columns(
        pl.when(found).then(pl.col(edge).clip(0, side[edge[0]])).otherwise(edge).alias(edge) for edge in EDGES
    )
    empty = (pl.col("x2") <= pl.col("x1")) | (pl.col("y2") <= pl.col("y1"))
    had_extent = (pl.col("from_x2") > pl.col("from_x1")) & (pl.col("from_y2") > pl.col("from_y1"))
    outside = pl.col("row").is_in(clipped.filter(found, empty, had_extent)["row"].implode())
    after = clipped.filter(found, ~outside).select("label", *EDGES)
    state.record_boxes("clipped", "B001", boxes.filter(found, ~outside), [list(row) for row in after.rows()])
    state.record_boxes("removed, wholly outside", "B001", boxes.filter(outside))
    state.set_boxes(clipped.filter(~outside).drop("message"))


REPAIR = Repair(
    "B001",
    "The box is clipped to the image, and its polygon or mask with it; one wholly outside is removed.",
    Stage.EDGES,
    _apply,
)
