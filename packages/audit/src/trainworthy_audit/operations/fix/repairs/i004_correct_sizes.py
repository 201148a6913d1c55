"""I004: the declared size becomes that of the pixels, unless the boxes were probably drawn on the declared one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit import dihedral
from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    doubtful = _drawn_on_declared_size(state) - state.placements.keys()
    for image, finding in state.image_findings("I004"):
        if image in doubtful:
            state.unresolved["I004"] += 1
            continue
        state.resized.add(image)
        state.changes.add(
            "size corrected",
            rule="I004",
            path=finding["annotation"] or finding["image"],
            before=finding["limit_text"],
            after=finding["measured_text"],
            why=finding["message"],
        )


def _drawn_on_declared_size(state: RepairState) -> set[int]:
    """Images whose boxes speak against the pixels: they are turned, or scaled, or some box does not fit them."""
    width, height = pl.col("width").cast(pl.Float64), pl.col("height").cast(pl.Float64)
    declared_width, declared_height = pl.col("declared_width"), pl.col("declared_height")
    reach = state.evidence.boxes.group_by("image").agg(pl.col("x2").max(), pl.col("y2").max())
    images = (
        state.evidence.images.select(
            "image", "width", "height", "orientation", "declared_width", "declared_height"
        )
        .filter(declared_width >= 1, declared_height >= 1)
        .join(reach, on="image")
    )
    sideways = pl.col("orientation").is_in(dihedral.EXIF_TRANSPOSES)
    turned = (width == declared_height) & (height == declared_width) & sideways
    scaled = (declared_width / declared_height / (width / height) - 1).abs() < 0.01
    beyond = (pl.col("x2") > width + 1) | (pl.col("y2") > height + 1)
    within = (pl.col("x2") <= declared_width + 1) & (pl.col("y2") <= declared_height + 1)
    return set(images.filter(beyond | ((turned | scaled) & within))["image"])


REPAIR = Repair(
    "I004",
    "The declared size is corrected, unless the boxes speak for the declared one: the picture was turned by EXIF or "
    "scaled, or they do not fit its pixels.",
    Stage.FILES,
    _apply,
)
