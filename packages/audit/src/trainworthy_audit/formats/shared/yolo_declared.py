"""The images of YOLO labels where no image is looked at: those that the names of label files declare."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared import foreign
from trainworthy_audit.formats.shared.paths import basename, folder, stem, without_extension
from trainworthy_audit.formats.shared.yolo_layout import TEXT_LIMIT
from trainworthy_audit.formats.shared.yolo_text import SAMPLE, is_image_list, mostly_labels, text_files
from trainworthy_audit.source import IMAGE_SUFFIXES, Entry, Locator
from trainworthy_audit.source.text import numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_audit.source import Source

#: The extension of an image that no list names.
EXTENSION = ".jpg"


def with_declared_images(source: Source, within: str) -> Source:
    """The source and, where images are left out, an entry for each one that a label file is named after.

    The entries stand for files that nobody has seen: they are listed, and cannot be read.
    """
    if not source.annotations_only:
        return source
    labels = _label_files(source, within)
    extensions = _listed_extensions(source, set(labels))
    images = [_image_of(label, extensions.get(stem(label), EXTENSION)) for label in labels]
    entries = source.entries | {path: Entry(path, 0, "", Locator(b""), 0) for path in images}
    return replace(source, entries=dict(sorted(entries.items())))


def _label_files(source: Source, within: str) -> list[str]:
    """The .txt files in folders of labels: called so, or with rows of labels in most files that are looked into."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in text_files(source, within):
        by_folder[folder(path)].append(path)
    return [
        path
        for place, paths in by_folder.items()
        if _holds_labels(source, place, paths)
        for path in paths
        if not is_image_list(source, path)
    ]


def _holds_labels(source: Source, place: str, paths: list[str]) -> bool:
    if "labels" in place.lower().split("/"):
        return mostly_labels(source, paths)
    sample = [path for path in paths if source.entries[path].size][:: max(1, len(paths) // SAMPLE)]
    alike = sum(foreign.recognise(source, path) is foreign.YOLO for path in sample)
    return 2 * alike > len(sample)


def _listed_extensions(source: Source, labels: set[str]) -> dict[str, str]:
    """{stem: extension} of the images that lists name."""
    return {
        stem(name): name[name.rfind(".") :]
        for path in text_files(source, "")
        if path not in labels and is_image_list(source, path)
        for name in _names_in(source, path)
        if name[name.rfind(".") :].lower() in IMAGE_SUFFIXES
    }


def _names_in(source: Source, path: str) -> Iterator[str]:
    try:
        data = source.read(path, TEXT_LIMIT)
    except OSError:
        return
    for _, line in numbered_lines(data):
        yield basename(line.strip())


def _image_of(label: str, extension: str) -> str:
    """Where ultralytics' rule for labels, read the other way round, puts the image."""
    head, separator, tail = f"/{label}".rpartition("/labels/")
    return without_extension(f"{head}/images/{tail}"[1:] if separator else label) + extension
