"""What a .txt file of a YOLO dataset is: labels, a list of images, a list of names, or something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared.paths import file_name, stem, within_folder
from trainworthy_audit.source import IMAGE_SUFFIXES
from trainworthy_audit.source.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_audit.source import Source

_NEVER_LABELS = re.compile(
    r"(readme|licen[cs]e|requirements|changelog|citation).*|(predefined_|obj_|class_)?(classes|names|labels)|label_?map",
    re.IGNORECASE,
)
_NAMES = frozenset({"classes.txt", "names.txt", "labels.txt", "class_names.txt", "obj_names.txt"})

#: How many of a folder's files are looked into, to tell labels from captions and other text.
SAMPLE = 12

#: Larger files are not looked into, in bytes.
PEEK = 2**20


def text_files(source: Source, within: str) -> list[str]:
    """The .txt files that may be labels; `within` limits them where it is a folder."""
    limit = within if within in source.folders() else ""
    return [
        path
        for path, entry in source.entries.items()
        if entry.suffix == ".txt" and within_folder(path, limit) and not _NEVER_LABELS.fullmatch(stem(path))
    ]


def is_names(path: str) -> bool:
    """Whether the file's name says that it lists the classes."""
    name = file_name(path).lower()
    return name in _NAMES or name.endswith((".names", ".labels"))


def looks_like_labels(source: Source, path: str) -> bool:
    """Whether the first line that is not blank consists of numbers, or there is no such line."""
    first = _first_line(source, path)
    if first is None:
        return False
    words = re.split(r"[\s,;]+", first.strip()) if first else ["0", "0"]
    try:
        return len([float(word) for word in words if word]) > 1
    except ValueError:
        return False


def mostly_labels(source: Source, paths: Sequence[str]) -> bool:
    """Whether most of a sample of the files look like labels."""
    sample = paths[:: max(1, len(paths) // SAMPLE)]
    return sum(looks_like_labels(source, path) for path in sample) * 2 > len(sample)


def is_image_list(source: Source, path: str) -> bool:
    """Whether the first line that is not blank names an image file."""
    first = _first_line(source, path)
    return first is not None and f".{first.strip().lower().rpartition('.')[2]}" in IMAGE_SUFFIXES


def _first_line(source: Source, path: str) -> str | None:
    """The first line that is not blank, '' without any; None where the file cannot be read."""
    try:
        content = decode_text(source.read(path, PEEK))
    except OSError:
        return None
    return next((line for line in content.splitlines() if line.strip()), "")
