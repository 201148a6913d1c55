"""I001: an unreadable image is set aside with its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.operations.fix.repair import QUARANTINE, Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    reasons = [(image, finding["message"]) for image, finding in state.image_findings("I001")]
    state.quarantine_images("I001", reasons)


REPAIR = Repair("I001", QUARANTINE, Stage.IMAGES, _apply)
