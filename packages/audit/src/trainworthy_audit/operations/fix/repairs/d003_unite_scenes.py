"""D003: all images of a scene move to one split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    scene_of, by_scene = state.target_splits
    if not by_scene:
        return
    targets = pl.DataFrame(
        {"scene": list(by_scene), "target": list(by_scene.values())}, schema_overrides={"scene": pl.UInt32}
    )
    listed = state.evidence.dataset.membership.group_by("image", maintain_order=True).agg("split")
    moved = (
        state.evidence.images.select("image", "path")
        .join(listed, on="image")
        .join(scene_of, on="image")
        .join(targets, on="scene")
        .filter(state.kept)
        .filter(pl.col("split") != pl.concat_list("target"))
        .sort("image")
    )
    examples = _examples(state)
    for row in moved.iter_rows(named=True):
        example = examples[row["scene"]]
        state.changes.add(
            "moved",
            rule="D003",
            path=row["path"],
            before=", ".join(row["split"]),
            after=row["target"],
            why="it was in several splits" if example == row["path"] else f"the same scene as {example}",
        )
    state.set_splits(moved.select("image", pl.col("target").alias("split")))


def _examples(state: RepairState) -> dict[int, str]:
    """For each scene the path of its first image that is in the right split already."""
    scene_of, by_scene = state.target_splits
    members = (
        state.evidence.dataset.membership.join(scene_of, on="image")
        .filter(state.kept)
        .sort("image", descending=True)
    )
    return {
        scene: state.path(image)
        for image, split, scene in members.select("image", "split", "scene").iter_rows()
        if by_scene.get(scene) == split
    }


REPAIR = Repair(
    "D003",
    "All images of a scene move to the split that has most of them, to training on a tie.",
    Stage.SPLITS,
    _apply,
)
