"""What this audit can read and trainers cannot: notes, a sentence each. Nothing is repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared.paths import file_name, fold, is_absolute, slashes, stem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_audit.types import Dataset


def notes(dataset: Dataset) -> Iterator[str]:
    """Sentences about names in another spelling and about paths of another machine, with a count and an example."""
    references = (
        dataset.references.drop_nulls("image")
        .join(dataset.images.select("image", "path"), on="image", maintain_order="left")
        .select("source", "written", "path")
    )
    respelled: dict[str, tuple[str, str]] = {}
    foreign: list[tuple[str, str]] = []
    for source, written, path in references.iter_rows():
        plain = slashes(written)
        is_xml = source.lower().endswith(".xml")
        if _differs_in_spelling(plain, path) or (is_xml and _differs_in_spelling(source, path)):
            respelled.setdefault(path, (source if is_xml else written, path))
        if not is_xml and is_absolute(plain) and not plain.startswith(f"{dataset.root}/"):
            foreign.append((source, written))
    if respelled:
        written, path = next(iter(respelled.values()))
        yield (
            f"The names of {counted(len(respelled), 'image')} stand in annotations or lists in other letter case or "
            f"another Unicode spelling, such as {written} for {path}: they were matched, but a trainer on Linux does "
            "not find them."
        )
    if foreign:
        source, written = foreign[0]
        yield (
            f"{counted(len(foreign), 'path')} of another machine, such as {written} in {source}, led to images by "
            "how they end: a trainer does not find them."
        )


def _differs_in_spelling(written: str, path: str) -> bool:
    """Whether the names agree, with or without extension, but not to the letter."""
    here, there = file_name(written), file_name(path)
    if fold(here) == fold(there):
        return here != there
    if fold(here) == fold(stem(there)):
        return here != stem(there)
    extension = here[len(stem(here)) :]
    in_capitals = extension.lower() in {".txt", ".xml"} and extension != extension.lower()
    return fold(stem(here)) == fold(stem(there)) and (in_capitals or stem(here) != stem(there))


def counted(count: int, thing: str) -> str:
    """'1 image', '2,000 images'."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
