"""YOLO as darknet reads it: a .data file, a .names file, and a label file for each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.formats.draft import Draft, stem
from trainworthy_audit.formats.rows import read_labels
from trainworthy_audit.source import lines
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

TITLE = "YOLO (darknet)"
LOOKED_FOR = "a .data file or a list of classes (.names, classes.txt), and .txt label files beside the images"


def sniff(source: Source, within: str) -> str:
    """Say which of darknet's files there is, or ''."""
    return next(
        (path for path in source.entries if path.endswith((".data", ".names")) and path.startswith(within)),
        "",
    )


def read(source: Source, within: str) -> Dataset:
    """Read the names, the lists and the labels."""
    draft = Draft(source, "darknet", source.images())
    settings: dict[str, str] = {}
    for path in source.entries:
        if path.endswith(".data") and path.startswith(within):
            draft.content.add(path)
            for _, line in lines(source.read(path)):
                key, found, value = line.partition("=")
                if found:
                    settings[key.strip()] = value.strip()
    count = int(settings["classes"]) if settings.get("classes", "").isdigit() else None
    for path in source.entries:
        if path.endswith(".names"):
            draft.content.add(path)
            names = [(index, name, number) for index, (number, name) in enumerate(lines(source.read(path)))]
            draft.names.append(NameList(path, tuple(names), count=count))
    for split in ("train", "valid", "val", "test"):
        if settings.get(split) in source.entries:
            for number, line in lines(source.read(settings[split])):
                image = draft.resolver.find(line).path
                index = None if image is None else draft.number[image]
                draft.refer("list", settings[split], line, index, line=number, split=split)
                if index is not None:
                    draft.split(index, split)
    by_stem = {stem(image): number for image, number in draft.number.items()}
    labels = []
    for label in source.entries:
        if label.endswith(".txt") and stem(label) in by_stem:
            draft.refer("annotation", label, label, by_stem[stem(label)])
            labels.append((label, by_stem[stem(label)]))
    read_labels(draft, labels, draft.names[0].by_id() if draft.names else {})
    return draft.dataset()
