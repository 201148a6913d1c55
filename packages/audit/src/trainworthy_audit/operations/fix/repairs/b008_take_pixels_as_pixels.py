"""B008: rows that hold pixels where fractions belong are taken as pixels, and written as fractions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    boxes = state.evidence.boxes
    in_pixels = boxes.filter("unit_error", "finite", pl.col("image").is_not_null())
    message = pl.lit("the row holds pixels, not fractions").alias("message")
    state.record_boxes("taken as pixels", "B008", in_pixels.with_columns(message))
    state.set_boxes(boxes.with_columns(pl.lit(value=False).alias("unit_error")))


REPAIR = Repair("B008", "Rows that hold pixels become fractions.", Stage.UNITS, _apply, always=True)
