"""B002: boxes without extent are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    state.remove_boxes("removed", "B002", state.box_findings("B002"))


REPAIR = Repair("B002", "Empty boxes are removed.", Stage.BOXES, _apply)
