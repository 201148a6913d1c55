"""DOTA: a .txt of oriented boxes for each image, in folders called labelTxt, annfiles or otherwise.

A row holds the four corners of a quadrilateral in pixels, the name of a class, and whether the object is difficult:
`2753 2408 2861 2385 2888 2468 2805 2502 plane 0`. The downloads of DOTA begin each file with two lines about the image,
`imagesource:GoogleEarth` and `gsd:0.146`; what tools write has none.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from trainworthy_audit.formats.shared import foreign, oriented, yolo_labels
from trainworthy_audit.formats.shared.builder import DatasetBuilder
from trainworthy_audit.formats.shared.dota_rows import is_header, parse
from trainworthy_audit.formats.shared.format import Format
from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.formats.shared.name_lists import FILES, add_names_beside
from trainworthy_audit.formats.shared.paths import file_name, fold, folder, join, stem
from trainworthy_audit.formats.shared.selection import (
    Namesakes,
    images_of_annotations,
    refuse_competing_sets,
    refuse_unclear_folders,
)
from trainworthy_audit.formats.shared.shape_flaws import ShapeFlaws
from trainworthy_audit.formats.shared.voc_images import ImageFinder
from trainworthy_audit.source.text import BYTE_ORDER_MARKS, numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainworthy_audit.source import Source
    from trainworthy_audit.types import Dataset

#: A label file in bytes: a million objects; a larger file is something else.
FILE_LIMIT = 64 * 2**20

#: The extension of an image that nobody looked at: DOTA's are PNGs.
EXTENSION = ".png"

#: Folders of label files: of DOTA's downloads ("labelTxt-v1.5" is one of them), and of mmrotate.
_FOLDERS = re.compile(r"label_?txt.*|annfiles", re.IGNORECASE)

#: Of each folder, so many files that are not empty are looked into.
_LOOKED_INTO = 12


# ----------------------------------------------------------------------------------------------------------
# Detection


def _sniff(source: Source, within: str) -> str:
    """Say how many label files there are, and where; '' without any, or where there are YOLO's labels, too."""
    places = _label_folders(source, within)
    if not places or (not within and yolo_labels.count_labels(source, within)):
        return ""
    named = ", ".join(place or "the top folder" for place in list(places)[:3])
    more = f" and {len(places) - 3} more folders" if len(places) > 3 else ""
    return f"{sum(map(len, places.values())):,} .txt files of oriented boxes in {named}{more}"


def _label_folders(source: Source, within: str) -> dict[str, list[str]]:
    """{folder: its .txt files that may be labels}, of folders that are called so, or in which most hold DOTA's rows."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in source.below(within):
        if source.entries[path].suffix == ".txt" and file_name(path).lower() not in FILES:
            by_folder[folder(path)].append(path)
    return {
        place: paths for place, paths in by_folder.items() if _is_named(place) or _holds_rows(source, paths)
    }


def _is_named(place: str) -> bool:
    return bool(_FOLDERS.fullmatch(file_name(place)))


def _holds_rows(source: Source, paths: Sequence[str]) -> bool:
    filled = [path for path in paths if source.entries[path].size]
    sample = filled[:: max(1, len(filled) // _LOOKED_INTO)]
    return 2 * sum(foreign.recognise(source, path) is foreign.DOTA for path in sample) > len(sample)


# ----------------------------------------------------------------------------------------------------------
# The dataset


def _read(source: Source, within: str) -> Dataset:
    """Read every label file, each for the image of its name."""
    places = _label_folders(source, within)
    labels = [path for paths in places.values() for path in paths]
    candidates = _declared_images(labels) if source.annotations_only else source.images()
    finder = ImageFinder(candidates)
    images_of = {path: finder.nearest(stem(path), folder(path)) for path in labels}
    namesakes = Namesakes(images_of.values())
    images_of = {path: namesakes.choose(images) for path, images in images_of.items()}
    _refuse_unclear(source, images_of)
    annotated = {images[0] for images in images_of.values() if images}
    images, left_out = images_of_annotations(source, candidates, annotated, within)
    builder = DatasetBuilder(source, "dota", images)
    builder.notes += left_out
    rows = _Rows()
    for path, found in images_of.items():
        # Beside the images there may be lists of them, and a README.
        if found or _is_named(folder(path)) or foreign.recognise(source, path) is foreign.DOTA:
            _add_file(builder, rows, path, found)
    rows.add_to(builder)
    builder.split_by_folders()
    add_names_beside(builder, set(places))
    return builder.build()


def _declared_images(labels: Sequence[str]) -> list[str]:
    """The images that label files are named after where no image is looked at: in images, beside their folder."""
    return sorted({join(join(folder(folder(path)), "images"), f"{stem(path)}{EXTENSION}") for path in labels})


def _refuse_unclear(source: Source, images_of: Mapping[str, list[str]]) -> None:
    """Refuse images that several folders hold, and folders of labels for the same images, such as upright ones."""
    tied = [images for images in images_of.values() if len(images) > 1]
    if 2 * len(tied) > len(images_of) and len(tied) >= 3:
        refuse_unclear_folders(source, "dota", tied)
    by_folder: dict[str, set[str]] = defaultdict(set)
    for path, images in images_of.items():
        by_folder[folder(path)].update(map(fold, images[:1]))
    refuse_competing_sets(source, "dota", FORMAT.title, by_folder)


def _add_file(builder: DatasetBuilder, rows: _Rows, path: str, found: list[str]) -> None:
    """What one label file says."""
    if len(found) > 1:
        reason = f"several images fit its name, and nothing says which is meant: {', '.join(found[:4])}"
        builder.add_unread(path, reason, text=stem(path))
        return
    image = builder.number.get(found[0]) if found else None
    builder.add_reference("annotation", path, path, image)
    for box, line, text in _lines(builder, path, image):
        try:
            row = parse(text)
        except MalformedError as error:
            builder.add_unread(path, str(error), text=text, line=line, image=image, box=box)
        else:
            rows.add(image, path, line, box, row.label, row.difficult, row.corners)


def _lines(builder: DatasetBuilder, path: str, image: int | None) -> Iterator[tuple[int, int, str]]:
    """(box, line number, line) of each row that is not blank; a file that cannot be read is unread."""
    try:
        data = builder.source.read(path, FILE_LIMIT)
    except OSError as error:
        reason = f"the label file cannot be read: {error.strerror or error}"
        builder.add_unread(path, reason, image=image)
        return
    if data.startswith(BYTE_ORDER_MARKS):
        builder.files_with_bom.append(path)
    rows = ((line, text) for line, text in numbered_lines(data) if text.strip() and not is_header(text))
    for box, (line, text) in enumerate(rows):
        yield box, line, text


class _Rows:
    """The boxes of all files, column by column."""

    def __init__(self) -> None:
        self._images: list[int | None] = []
        self._annotations: list[str] = []
        self._labels: list[str] = []
        self._difficult: list[float | None] = []
        self._lines, self._boxes = array("q"), array("q")
        self._edges = array("d")
        self._flaws = ShapeFlaws(oriented.ROUNDING_PIXELS)

    def add(  # noqa: PLR0917 - a row of a table
        self,
        image: int | None,
        path: str,
        line: int,
        box: int,
        label: str,
        difficult: float | None,
        corners: Sequence[float],
    ) -> None:
        """Add one box."""
        self._flaws.add("oriented", len(self._lines), corners)
        self._images.append(image)
        self._annotations.append(path)
        self._labels.append(label)
        self._difficult.append(difficult)
        self._lines.append(line)
        self._boxes.append(box)
        self._edges.extend(oriented.upright(corners))

    def add_to(self, builder: DatasetBuilder) -> None:
        """Hand all of them to the builder."""
        if not self._lines:
            return
        edges = np.frombuffer(self._edges, dtype=np.float64).reshape(-1, 4)
        frame = pl.DataFrame(
            {
                "image": pl.Series(self._images, dtype=pl.UInt32),
                "annotation": self._annotations,
                "line": np.frombuffer(self._lines, dtype=np.int64),
                "box": np.frombuffer(self._boxes, dtype=np.int64),
                "label": self._labels,
                "difficult": pl.Series(self._difficult, dtype=pl.Float64),
                "shape": pl.repeat("oriented", len(self._lines), dtype=pl.String, eager=True),
                **{edge: edges[:, index] for index, edge in enumerate(("x1", "y1", "x2", "y2"))},
            }
        )
        builder.add_boxes(frame, self._flaws.frame())
        builder.notes.append(oriented.note(frame.height, frame.height))


FORMAT = Format(
    title="DOTA",
    looked_for="a folder labelTxt of .txt files with rows x1 y1 x2 y2 x3 y3 x4 y4 class difficulty",
    sniff=_sniff,
    read=_read,
    without_images=True,
)
