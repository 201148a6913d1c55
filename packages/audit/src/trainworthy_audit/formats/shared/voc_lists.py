"""The lists of ids in ImageSets/Main that divide a Pascal VOC dataset into splits."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from trainworthy_audit import splits
from trainworthy_audit.formats.shared.paths import (
    basename,
    fold,
    folder,
    is_comment,
    join,
    normalise,
    slashes,
    stem,
    within_folder,
)
from trainworthy_audit.source.text import numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainworthy_audit.formats.shared.builder import DatasetBuilder
    from trainworthy_audit.formats.shared.voc_images import ImageFinder
    from trainworthy_audit.source import Source

#: A list of ids in bytes: some ten million rows.
MAX_LIST = 256 * 2**20

Rows = dict[str, list[tuple[int, str]]]

#: A row of 'cat_train.txt' (see `_is_class_file`).
_ID_AND_MARK = re.compile(r"^(.*\S)\s+(-1|0|1)$")


def add_splits(
    builder: DatasetBuilder,
    finder: ImageFinder,
    annotation_folders: set[str],
    image_of_stem: Mapping[str, str],
) -> None:
    """Splits by ImageSets/Main, else by the names of folders.

    `image_of_stem`: {folded stem of an xml: the image that it annotates}.
    """
    root_of = {
        path: root
        for path, root in _list_files(builder.source)
        if any(within_folder(place, root) for place in annotation_folders)
    }
    rows_of, class_rows_of = _read_lists(builder, root_of)
    if not rows_of:  # each class has a list of its own for each split: together they are the split
        rows_of = class_rows_of
    split_of = {path: _split_of_class_list(path) if path in class_rows_of else stem(path) for path in rows_of}
    names = splits.dividing(name for name in split_of.values() if name)
    known: dict[str, set[str]] = defaultdict(set)
    for path, rows in rows_of.items():
        split = split_of[path] if split_of[path] in names else None
        builder.content.add(path)
        if split is not None:
            builder.declare_split(split, path, path)
        for line, row in rows:
            if path in class_rows_of:  # what another class's list of the split says already
                written = _ID_AND_MARK.sub(r"\1", row)
                if written in known[str(split)]:
                    continue
                known[str(split)].add(written)
            match = _listed_image(row, root_of[path], finder, image_of_stem)
            image = None if match is None else builder.number.get(match)
            outside = image is None and leaves_dataset(folder(path), row)
            builder.add_reference("list", path, row, image, line=line, split=split, outside=outside)
            if split is not None and image is not None:
                builder.add_to_split(image, split)
    if not names:
        builder.split_by_folders()


def leaves_dataset(base: str, written: str) -> bool:
    """Whether a path, written in a file of the folder `base`, leads above the root of the dataset."""
    return ".." in written and normalise(slashes(f"{base}/{written}")) is None


def _list_files(source: Source) -> Iterator[tuple[str, str]]:
    """(list, the folder that it divides): ImageSets/Main/*.txt, or ImageSets/*.txt where there is no Main."""
    in_main: list[tuple[str, str]] = []
    above_main: list[tuple[str, str]] = []
    for path in source.entries:
        parts = path.split("/")
        lowered = [part.lower() for part in parts]
        if not lowered[-1].endswith(".txt"):
            continue
        if lowered[-3:-1] == ["imagesets", "main"]:
            in_main.append((path, "/".join(parts[:-3])))
        elif lowered[-2:-1] == ["imagesets"]:
            above_main.append((path, "/".join(parts[:-2])))
    roots_with_main = {root for _, root in in_main}
    yield from in_main
    yield from ((path, root) for path, root in above_main if root not in roots_with_main)


def _read_lists(builder: DatasetBuilder, paths: Mapping[str, str]) -> tuple[Rows, Rows]:
    """{list: its rows (line, text) that are not blank}, of lists that stand for splits, and of those of one class."""
    rows_of, class_rows_of = {}, {}
    for path in paths:
        try:
            data = builder.source.read(path, MAX_LIST)
        except OSError as error:
            builder.add_unread(path, f"cannot be read: {error}")
            continue
        rows = [(line, row.strip()) for line, row in numbered_lines(data) if row.strip()]
        rows = [(line, row) for line, row in rows if not is_comment(row)]
        if not _is_class_file(path, rows):
            rows_of[path] = rows
        elif _split_of_class_list(path):
            class_rows_of[path] = rows
    return rows_of, class_rows_of


def _split_of_class_list(path: str) -> str | None:
    """'cat_train.txt' -> 'train', 'traffic_light_val.txt' -> 'val'; None where the name ends with no split."""
    return splits.split_name(stem(path).rpartition("_")[2])


def _is_class_file(path: str, rows: list[tuple[int, str]]) -> bool:
    """'cat_train.txt' says of each id whether it holds a cat (1), a hard one (0) or none (-1): no split."""
    return "_" in stem(path) and bool(rows) and all(_ID_AND_MARK.match(row) for _, row in rows)


def _listed_image(row: str, root: str, finder: ImageFinder, image_of_stem: Mapping[str, str]) -> str | None:
    """The image that a row of a list means: an id, perhaps with folders, an extension or a mark behind it."""
    marked = _ID_AND_MARK.match(row)
    for written in (row, marked[1]) if marked else (row,):
        name = basename(written)
        matches = finder.nearest(name, join(root, folder(slashes(written))))
        if len(matches) == 1:
            return matches[0]
        if (path := image_of_stem.get(fold(name)) or image_of_stem.get(fold(stem(name)))) is not None:
            return path
    return None
