"""C001: an image is set aside that has a box whose class id no list names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations.fix.repair import QUARANTINE, Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    if not state.findings("C001").height:
        return
    unnamed = state.evidence.boxes.filter(pl.col("label").is_null(), pl.col("class_id").is_not_null())
    reason = pl.format("class id {} has no name", "class_id")
    state.quarantine_images(
        "C001", unnamed.drop_nulls("image").select("image", reason.alias("why")).iter_rows()
    )


REPAIR = Repair("C001", QUARANTINE, Stage.LABELS, _apply)
