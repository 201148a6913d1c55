"""Lists of class names beside annotations that hold names themselves: labels.txt, labelmap.txt, *.names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit.formats.builder import folder, within_folder
from trainworthy_audit.source.text import numbered_lines
from trainworthy_audit.types import NameList

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from trainworthy_audit.formats.builder import Draft

FILES = frozenset({"labels.txt", "labelmap.txt", "classes.txt", "predefined_classes.txt"})

#: More names than any detector has; a larger file is something else.
LIMIT = 16 * 2**20


def add_names_beside(draft: Draft, homes: Collection[str]) -> None:
    """Add the lists of names that lie in or above one of the folders `homes` of annotations."""
    for path in draft.source.entries:
        name = path.rpartition("/")[2].lower()
        if (name in FILES or name.endswith(".names")) and any(
            within_folder(home, folder(path)) for home in homes
        ):
            draft.content.add(path)
            try:
                rows = list(numbered_lines(draft.source.read(path, LIMIT)))
            except OSError as error:
                draft.unread(path, f"cannot be read: {error}")
            else:
                draft.names.append(NameList(path, tuple(_names(rows)), declares_ids=False))


def _names(rows: list[tuple[int, str]]) -> Iterator[tuple[int, str, int]]:
    """(index, name, line). CVAT's labelmap has a '#' header and `name:color:parts:actions` rows.

    Its background is no label.
    """
    while rows and not rows[-1][1].strip():
        rows.pop()
    labelmap = bool(rows) and rows[0][1].lstrip().startswith("#") and ":" in rows[0][1]
    count = 0
    for at, row in rows:
        name = row.partition(":")[0] if labelmap else row
        if labelmap and (name.lstrip().startswith("#") or name == "background"):
            continue
        yield count, name, at
        count += 1
