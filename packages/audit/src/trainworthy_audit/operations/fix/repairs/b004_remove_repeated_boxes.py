"""B004: boxes that repeat another are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    state.remove_boxes("removed", "B004", state.findings("B004"))


REPAIR = Repair("B004", "Repeated boxes are removed.", Stage.BOXES, _apply)
