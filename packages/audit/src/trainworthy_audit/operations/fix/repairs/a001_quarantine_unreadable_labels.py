"""A001: an image is set aside if something of its annotation cannot be read: the object would become background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations.fix.repair import QUARANTINE, Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    unread = state.evidence.dataset.unread.drop_nulls("image")
    line = pl.coalesce(pl.format(" line {}", "line"), pl.lit(""))
    reason = pl.format("{}{} cannot be read: {}", "annotation", line, "reason")
    state.quarantine_images("A001", unread.select("image", reason.alias("why")).iter_rows())


REPAIR = Repair("A001", QUARANTINE, Stage.LABELS, _apply)
