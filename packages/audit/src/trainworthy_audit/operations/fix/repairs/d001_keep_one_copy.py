"""D001: of images with the same pixels one stays, unless their labels disagree (D004)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.evidence import scenes
from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    target = state.target_splits  # of the scenes as they are before copies are removed
    disagreeing = set(state.findings("D004", always=True)["image"])
    removed: list[int] = []
    for copies in _copies(state):
        labelled = [copy for copy in copies if copy["annotation"] is not None]
        if any(copy["path"] in disagreeing for copy in labelled):
            state.unresolved["D001"] += 1
            continue
        kept = min(
            labelled or copies,
            key=lambda copy: (copy["split"] != (target.of(copy["image"]) or copy["split"]), copy["image"]),
        )
        for copy in copies:
            if copy is not kept:
                _record(state, copy, kept)
                removed.append(copy["image"])
    state.remove_images(removed)


def _copies(state: RepairState) -> list[list[dict[str, Any]]]:
    """The images of each group with the same pixels."""
    evidence = state.evidence
    pairs = evidence.duplicates.filter(pl.col("relation").is_in(scenes.IDENTICAL))
    members = (
        scenes.scene_of(evidence, pairs)
        .join(evidence.images.select("image", "path", "annotation", "split"), on="image")
        .filter(state.kept)
        .filter(pl.len().over("scene") > 1)
        .sort("scene", "image")
    )
    return [group.to_dicts() for group in members.partition_by("scene", maintain_order=True)]


def _record(state: RepairState, copy: dict[str, Any], kept: dict[str, Any]) -> None:
    labelled = " and labelled" if copy["annotation"] is None and kept["annotation"] is not None else ""
    why = f"the same pixels as {kept['path']}, which is kept{labelled}"
    state.changes.add("copy removed", rule="D001", path=copy["path"], why=why)


REPAIR = Repair(
    "D001",
    "Of exact copies one stays, the labelled one where only one is labelled; copies that are labelled differently "
    "(D004) are left.",
    Stage.COPIES,
    _apply,
)
