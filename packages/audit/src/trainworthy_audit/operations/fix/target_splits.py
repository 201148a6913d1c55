"""In which split a scene belongs that several splits have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from trainworthy_audit.operations.scene_groups import scene_groups
from trainworthy_audit.splits import ROLES, role

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from trainworthy_audit.duplicates import Thumbnails
    from trainworthy_audit.types import Evidence


class TargetSplits(NamedTuple):
    """The scene of each image, and where scenes that are in several splits belong."""

    scene_of: pl.DataFrame  # `image`, `scene`; no rows where there are fewer than two splits
    by_scene: Mapping[int, str]  # only of scenes that are in several splits

    def of(self, image: int) -> str | None:
        """The split where an image belongs; None where it may stay where it is."""
        return self.by_scene.get(self.scene_of["scene"][image]) if self.by_scene else None


def target_splits(
    evidence: Evidence,
    removed: Collection[int],
    thumbnails: Callable[[Sequence[str]], Thumbnails],
    options: Mapping[str, Any],
) -> TargetSplits:
    """A scene belongs where most of it is, in training on a tie. `options` are those of rule D002."""
    splits = evidence.dataset.splits
    if len(splits) < 2:
        return TargetSplits(pl.DataFrame(schema={"image": pl.UInt32, "scene": pl.UInt32}), {})
    scene_of = scene_groups(evidence, thumbnails, options)
    counts = (
        evidence.dataset.membership.unique()
        .filter(~pl.col("image").is_in(list(removed)))
        .join(scene_of, on="image")
        .group_by("scene", "split")
        .len()
        .filter(pl.len().over("scene") > 1)
    )
    order = sorted(splits, key=lambda name: ROLES.index(role(name)))
    best: dict[int, tuple[int, int]] = {}
    for scene, split, count in counts.iter_rows():
        rank = (-count, order.index(split))
        best[scene] = min(best.get(scene, rank), rank)
    return TargetSplits(scene_of, {scene: order[place] for scene, (_, place) in best.items()})
