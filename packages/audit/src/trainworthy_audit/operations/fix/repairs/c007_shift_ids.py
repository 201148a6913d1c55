"""C007: class ids that look shifted are moved back, with the labels that they have then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.evidence import classes
from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    if not state.findings("C007").height:
        return
    dataset, boxes = state.evidence.dataset, state.evidence.boxes
    shift_of_group = classes.shifts(state.evidence, classes.usage(state.evidence))
    names = pl.DataFrame(
        [
            (group, number + shift, number, name)
            for group, shift in shift_of_group.items()
            for number, name in classes.list_of(dataset, group).by_id().items()
        ],
        schema={"group": pl.String, "class_id": pl.Int64, "new_id": pl.Int64, "new_label": pl.String},
        orient="row",
    )
    moved = boxes.with_columns(classes.group(dataset)).join(
        names, on=["group", "class_id"], how="left", maintain_order="left"
    )
    changed = moved.filter(pl.col("new_id").is_not_null()).with_columns(
        pl.format("id {} means {}", "class_id", "new_label").alias("message")
    )
    state.record_boxes("relabelled", "C007", changed, changed["new_label"].to_list())
    state.set_boxes(
        moved.with_columns(
            pl.coalesce("new_id", "class_id").alias("class_id"),
            pl.coalesce("new_label", "label").alias("label"),
        ).select(boxes.columns)
    )


REPAIR = Repair("C007", "Class ids are shifted by one.", Stage.CLASS_IDS, _apply, safe=False)
