"""The rows of YOLO label files: `class cx cy width height`, or `class x y x y x y ...` for a polygon."""

from __future__ import annotations

import math
import re
from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.source.text import BYTE_ORDER_MARKS, decode_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainworthy_audit.formats.shared.builder import DatasetBuilder

#: A larger label file is not read, in bytes: ten thousand polygons of a hundred points fit into half of it.
FILE_LIMIT = 64 * 2**20

#: A longer line is not split into numbers, in characters: no polygon has fifty thousand points.
LINE_LIMIT = 2**20

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")

#: How much of what is no row at all is kept verbatim, in characters.
KEPT = 1000


class Row(NamedTuple):
    """What one line says."""

    class_id: int
    is_polygon: bool
    edges: tuple[
        float, float, float, float
    ]  # x1, y1, x2, y2 as fractions of the image; NaN or infinite as written


def parse(words: list[str]) -> Row:
    """Read the words of one line. Raises `MalformedError` where they are no box or polygon."""
    class_id = _class_id(words[0])
    if len(words) == 5:
        cx, cy, width, height = _numbers(words[1:])
        return Row(class_id, False, (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2))
    if len(words) < 7 or len(words) % 2 == 0:
        _numbers(words[1:])
        raise MalformedError(_wrong_count(len(words)))
    values = _numbers(words[1:])
    left, right = _extent(values[::2])
    top, bottom = _extent(values[1::2])
    return Row(class_id, True, (left, top, right, bottom))


def add_labels(
    builder: DatasetBuilder, labels: Iterable[tuple[str, int | None]], names: Mapping[int, str]
) -> None:
    """Read each (label file, image) into `builder`: boxes as fractions, and verbatim what cannot be read.

    `box` counts the lines that are not blank, so that a bad row does not renumber the ones after it.
    """
    builder.fractions = True
    files: list[str] = []
    images: list[int | None] = []
    counts: list[int] = []
    lines, boxes, ids, polygons = array("q"), array("q"), array("q"), array("b")
    edges = array("d")
    for path, image in labels:
        before = len(lines)
        for number, box, words, line in _rows(builder, path, image):
            try:
                row = parse(words)
            except MalformedError as error:
                builder.add_unread(path, str(error), text=line, line=number, image=image, box=box)
                continue
            lines.append(number)
            boxes.append(box)
            ids.append(row.class_id)
            polygons.append(row.is_polygon)
            edges.extend(row.edges)
        files.append(path)
        images.append(image)
        counts.append(len(lines) - before)
    corners = np.frombuffer(edges, dtype=np.float64).reshape(-1, 4)
    of_file = np.repeat(np.arange(len(files)), counts)
    frame = pl.DataFrame(
        {
            "image": pl.Series(images, dtype=pl.UInt32).gather(of_file),
            "annotation": pl.Series(files, dtype=pl.String).gather(of_file),
            "line": np.frombuffer(lines, dtype=np.int64),
            "box": np.frombuffer(boxes, dtype=np.int64),
            "class_id": np.frombuffer(ids, dtype=np.int64),
            "shape": pl.Series(np.frombuffer(polygons, dtype=np.int8)).replace_strict(
                {0: "box", 1: "polygon"}, return_dtype=pl.String
            ),
            **{edge: corners[:, index] for index, edge in enumerate(("x1", "y1", "x2", "y2"))},
        }
    )
    label = (
        pl.col("class_id").replace_strict(names, default=None, return_dtype=pl.String)
        if names
        else pl.lit(None)
    )
    builder.add_boxes(frame.with_columns(label.alias("label")))


def _rows(builder: DatasetBuilder, path: str, image: int | None) -> Iterable[tuple[int, int, list[str], str]]:
    """(line number, box, words, line) of each line that is not blank; a file that is not text is unread."""
    try:
        data = builder.source.read(path, FILE_LIMIT)
    except OSError as error:
        builder.add_unread(path, f"the label file cannot be read: {error.strerror or error}", image=image)
        return
    if data.startswith(BYTE_ORDER_MARKS):
        builder.files_with_bom.append(path)
    content = decode_text(data)
    if "\0" in content:
        builder.add_unread(
            path, "the label file is not text: it holds NUL bytes", text=_beginning(content), image=image
        )
        return
    box = -1
    for number, line in enumerate(content.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if not line or line.isspace():
            continue
        box += 1
        if len(line) > LINE_LIMIT:
            reason = f"a line of {len(line):,} characters, more than the {LINE_LIMIT:,} that are read of one"
            builder.add_unread(path, reason, text=_beginning(line), line=number, image=image, box=box)
            continue
        yield number, box, line.split(), line


def _beginning(content: str) -> str:
    return content if len(content) <= KEPT else f"{content[:KEPT]}..."


def _class_id(word: str) -> int:
    """The class of a row; some tools write it as `0.0`."""
    if "," in word:
        raise MalformedError("the numbers are separated by commas; YOLO separates them by spaces")
    number = int(word) if _WHOLE.fullmatch(word) else _number(word)
    if not math.isfinite(number) or number != int(number) or abs(number) >= 2**63:
        raise MalformedError(f"the class must be a whole number, not {word[:KEPT]}")
    return int(number)


def _numbers(words: list[str]) -> list[float]:
    if "_" in "".join(words) or not all(map(str.isascii, words)):
        return [_number(word) for word in words]
    try:
        return list(map(float, words))
    except ValueError:
        return [_number(word) for word in words]


def _number(word: str) -> float:
    """As C reads a number. Python would also take `1_000` and digits of other scripts."""
    try:
        if word.isascii() and "_" not in word:
            return float(word)
    except ValueError:
        pass
    raise MalformedError(f"not a number: {word[:KEPT]}")


def _extent(values: list[float]) -> tuple[float, float]:
    """The smallest and the largest; NaN for both where one is NaN, which cannot be compared."""
    if any(map(math.isnan, values)):
        return math.nan, math.nan
    return min(values), max(values)


def _wrong_count(count: int) -> str:
    expected = (
        "expected 5 (class, centre x and y, width, height) or, for a polygon, a class and 3 or more x y pairs"
    )
    if count == 6:
        return f"6 numbers: a row of predictions has a confidence as its sixth, a label has none; {expected}"
    return f"{count} number{'s' if count != 1 else ''}; {expected}"
