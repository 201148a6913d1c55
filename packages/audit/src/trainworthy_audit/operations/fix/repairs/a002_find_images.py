"""A002: a label file that is named after an image with its extension, `a.jpg.txt`, is that image's."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.formats.shared.paths import fold, stem, without_extension
from trainworthy_audit.operations.fix.repair import Repair, Stage

if TYPE_CHECKING:
    from trainworthy_audit.operations.fix.state import RepairState


def _apply(state: RepairState) -> None:
    dataset = state.evidence.dataset
    loose = dataset.references.filter(
        pl.col("kind") == "annotation",
        pl.col("image").is_null(),
        ~pl.col("outside"),
        pl.col("source").str.ends_with(".txt"),
    )
    found: dict[str, int] = {}
    for path in loose["source"].unique(maintain_order=True):
        fitting = [
            image
            for image, own in dataset.images.filter(pl.col("annotation").is_null())
            .select("image", "path")
            .iter_rows()
            if _is_named_after(path, own)
        ]
        if len(fitting) == 1:
            found[path] = fitting[0]
    if len(set(found.values())) < len(found) or not found:
        return
    for path, image in found.items():
        state.changes.add(
            "taken for its image's",
            rule="A002",
            path=path,
            to=state.path(image),
            why="it is named after it, with its extension",
        )
    number = pl.col("annotation").replace_strict(found, default=None, return_dtype=pl.UInt32)
    of_source = pl.col("source").replace_strict(found, default=None, return_dtype=pl.UInt32)
    label_of = {image: path for path, image in found.items()}
    state.set_dataset(
        dataclasses.replace(
            dataset,
            boxes=dataset.boxes.with_columns(pl.coalesce("image", number).alias("image")),
            unread=dataset.unread.with_columns(pl.coalesce("image", number).alias("image")),
            references=dataset.references.with_columns(pl.coalesce("image", of_source).alias("image")),
            images=dataset.images.with_columns(
                pl.coalesce(
                    "annotation",
                    pl.col("image").replace_strict(label_of, default=None, return_dtype=pl.String),
                ).alias("annotation")
            ),
        )
    )


def _is_named_after(label: str, image: str) -> bool:
    """Whether the label file is called like the image with its extension, and lies where its label may lie."""
    name = without_extension(label)
    if fold(stem(label)) != fold(image.rpartition("/")[2]):
        return False
    folders = [place.rpartition("/")[0] for place in (name, image)]
    with_labels = f"/{folders[1]}".replace("/images", "/labels")[1:]
    return folders[0] in {folders[1], with_labels}


REPAIR = Repair(
    "A002",
    "A label file with the name and extension of an image, a.jpg.txt, is that image's; others are set aside.",
    Stage.ROWS,
    _apply,
)
