"""B003: an image is set aside if a box of it has no finite edges: the object would become background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.operations.fix.repair import QUARANTINE, Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    reasons = [(image, finding["message"]) for image, finding in state.image_findings("B003")]
    state.quarantine_images("B003", reasons)


REPAIR = Repair("B003", QUARANTINE, Stage.LABELS, _apply)
