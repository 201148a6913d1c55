"""YOLO as ultralytics reads it: a data.yaml, and a label file for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from trainworthy_audit.formats.draft import Draft, folder, normalise, stem
from trainworthy_audit.formats.rows import read_labels
from trainworthy_audit.source import text
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "YOLO (ultralytics)"
LOOKED_FOR = "a data.yaml with the keys train, val and names, and .txt label files in folders named labels"


def sniff(source: Source, within: str) -> str:
    """Say which dataset yaml there is, or ''."""
    return next(iter(_yamls(source, within)), "")


def read(source: Source, within: str) -> Dataset:
    """Read the splits of the dataset's yaml and their labels."""
    draft = Draft(source, "yolo", source.images())
    path, settings = next(iter(_yamls(source, within).items()))
    draft.content.add(path)
    names = settings.get("names") or {}
    listed = names.items() if isinstance(names, dict) else enumerate(names)
    draft.names.append(
        NameList(
            path, tuple((int(number), str(name), None) for number, name in listed), count=settings.get("nc")
        )
    )
    base = normalise(f"{folder(path)}/{settings.get('path') or ''}") or ""
    for split in ("train", "val", "test"):
        where = settings.get(split)
        inner = normalise(f"{base}/{where}") if where else None
        for image, number in draft.number.items() if inner is not None else ():
            if image.startswith(f"{inner}/"):
                draft.split(number, split)
    by_stem = {stem(image): number for image, number in draft.number.items()}
    labels = []
    for label in source.entries:
        if label.endswith(".txt") and "labels" in label.split("/")[:-1]:
            image = by_stem.get(stem(label))
            draft.refer("annotation", label, label, image)
            if image is not None:
                labels.append((label, image))
    read_labels(draft, labels, draft.names[0].by_id())
    return draft.dataset()


def _yamls(source: Source, within: str) -> dict[str, dict[str, Any]]:
    found = {}
    for path, entry in source.entries.items():
        if entry.suffix in {".yaml", ".yml"} and path.startswith(within):
            whole = yaml.safe_load(text(source.read(path, 2**20)))
            if isinstance(whole, dict) and whole.keys() & {"names", "nc", "train", "val"}:
                found[path] = whole
    return found
