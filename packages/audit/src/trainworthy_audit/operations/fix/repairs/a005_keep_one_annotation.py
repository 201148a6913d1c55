"""A005: of annotations that say the same of an image one stays; an image with different ones is set aside."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.operations import faults
from trainworthy_audit.operations.collection import EDGES
from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    _drop_repeated(state)
    unfit = faults.unfit(state.evidence, state.config)
    state.quarantine_images("A005", [(image, why) for image, (code, why) in unfit.items() if code == "A005"])


def _drop_repeated(state: RepairState) -> None:
    """Leave one of several files that annotate an image, where all have the same boxes."""
    dataset, boxes = state.evidence.dataset, state.evidence.boxes
    of_image = dataset.references.filter(pl.col("kind") == "annotation", pl.col("image").is_not_null())
    several = of_image.group_by("image", maintain_order=True).agg(
        pl.col("source").unique(maintain_order=True).alias("sources"), pl.len().alias("times")
    )
    repeated: dict[tuple[int, str], str] = {}
    for image, sources, times in several.filter(pl.col("times") > 1).iter_rows():
        own = boxes.filter(pl.col("image") == image)
        content = [
            sorted(own.filter(pl.col("annotation") == source).select("label", *EDGES).rows(), key=str)
            for source in sources
        ]
        if times == len(sources) and all(rows == content[0] for rows in content[1:]):
            repeated |= {
                (image, source): f"the same as in {sources[0]}, which is kept" for source in sources[1:]
            }
    if not repeated:
        return
    later = pl.DataFrame(
        [(image, source, why) for (image, source), why in repeated.items()],
        schema={"image": pl.UInt32, "annotation": pl.String, "message": pl.String},
        orient="row",
    )
    state.remove_boxes("removed, annotated twice", "A005", boxes.join(later, on=["image", "annotation"]))
    references = dataset.references.join(
        later.rename({"annotation": "source"}), on=["image", "source"], how="anti", maintain_order="left"
    )
    state.evidence = dataclasses.replace(
        state.evidence, dataset=dataclasses.replace(state.evidence.dataset, references=references)
    )


REPAIR = Repair(
    "A005",
    "Of files that say the same of an image one stays; an image that is annotated twice in different ways goes to the "
    "quarantine.",
    Stage.LABELS,
    _apply,
)
