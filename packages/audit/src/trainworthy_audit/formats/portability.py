"""What this audit can read and other loaders cannot: notes, a sentence each, for there is nothing to repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from trainworthy_audit.formats.builder import fold, stem
from trainworthy_audit.formats.yolo_layout import is_absolute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_audit.types import Dataset


def notes(dataset: Dataset) -> Iterator[str]:
    """Sentences with a count and an example."""
    yield from _paths(dataset)
    if dataset.format == "coco":
        yield from _annotations(dataset)


def _paths(dataset: Dataset) -> Iterator[str]:
    """Names that fit a file only by another spelling, and paths of another machine."""
    found = (
        dataset.references.drop_nulls("image")
        .join(dataset.images.select("image", "path"), on="image", maintain_order="left")
        .select("source", "written", "path")
    )
    spelt: dict[str, tuple[str, str]] = {}
    foreign: list[tuple[str, str]] = []
    for source, written, path in found.iter_rows():
        plain = written.replace("\\", "/")
        xml = source.lower().endswith(".xml")
        if _spelt_otherwise(plain, path) or (xml and _spelt_otherwise(source, path)):
            spelt.setdefault(path, (source if xml else written, path))
        if not xml and is_absolute(plain) and not plain.startswith(f"{dataset.root}/"):
            foreign.append((source, written))
    if spelt:
        written, path = next(iter(spelt.values()))
        yield (
            f"The names of {_some(len(spelt), 'image')} stand in annotations or lists in other letter case or another "
            f"Unicode spelling, such as {written} for {path}: they were matched, but a trainer on Linux does "
            "not find them."
        )
    if foreign:
        source, written = foreign[0]
        yield (
            f"{_some(len(foreign), 'path')} of another machine, such as {written} in {source}, led to images by "
            "how they end: a trainer does not find them."
        )


def _spelt_otherwise(written: str, path: str) -> bool:
    """Whether the names agree, with or without extension, but not to the letter."""
    here, there = written.rpartition("/")[2], path.rpartition("/")[2]
    if fold(here) == fold(there):
        return here != there
    if fold(here) == fold(stem(there)):
        return here != stem(there)
    label = here[len(stem(here)) :]
    shouted = label.lower() in {".txt", ".xml"} and label != label.lower()
    return fold(stem(here)) == fold(stem(there)) and (shouted or stem(here) != stem(there))


def _annotations(dataset: Dataset) -> Iterator[str]:
    """COCO annotations without what pycocotools and trainers take for granted."""
    without = dataset.boxes.filter(pl.col("id").is_null())
    if without.height:
        yield (
            f"{_some(without.height, 'annotation')} without an id, such as in {without['annotation'][0]}: "
            "pycocotools stops there."
        )
    made = dataset.boxes.filter(pl.col("shape") != "box")
    if made.height:
        yield (
            f"{_some(made.height, 'annotation')} without a bbox, such as in {made['annotation'][0]}: their "
            "boxes were made from segmentations, which trainers that read bbox do not do."
        )


def _some(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
