"""Lists of class names beside annotations that contain names themselves: labels.txt, labelmap.txt, *.names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.formats.shared.paths import file_name, folder, within_folder
from trainworthy_audit.source.text import numbered_lines
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from trainworthy_audit.formats.shared.builder import DatasetBuilder

FILES = frozenset({"labels.txt", "labelmap.txt", "classes.txt", "predefined_classes.txt"})

#: In bytes: more names than any detector has; a larger file is something else.
LIMIT = 16 * 2**20


def add_names_beside(builder: DatasetBuilder, folders: Collection[str]) -> None:
    """Add the lists of names that lie in or above one of the `folders` of annotations."""
    for path in builder.source.entries:
        name = file_name(path).lower()
        is_list = name in FILES or name.endswith(".names")
        if not is_list or not any(within_folder(place, folder(path)) for place in folders):
            continue
        builder.content.add(path)
        try:
            rows = list(numbered_lines(builder.source.read(path, LIMIT)))
        except OSError as error:
            builder.add_unread(path, f"cannot be read: {error}")
        else:
            builder.names.append(NameList(path, tuple(_names(rows)), declares_ids=False))


def _names(rows: list[tuple[int, str]]) -> Iterator[tuple[int, str, int]]:
    """(index, name, line). CVAT's labelmap has a '#' header and `name:color:parts:actions` rows.

    Its background is no label.
    """
    while rows and not rows[-1][1].strip():
        rows.pop()
    is_labelmap = bool(rows) and rows[0][1].lstrip().startswith("#") and ":" in rows[0][1]
    count = 0
    for line, row in rows:
        name = row.partition(":")[0] if is_labelmap else row
        if is_labelmap and (name.lstrip().startswith("#") or name == "background"):
            continue
        yield count, name, line
        count += 1
