"""The rows of YOLO label files: `class cx cy width height`, `class x y x y x y ...`, or a box and keypoints.

Which of them a row is, `yolo_tasks` decides for the whole dataset.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from trainworthy_audit.formats.shared.malformed import MalformedError
from trainworthy_audit.formats.shared.shape_flaws import ShapeFlaws
from trainworthy_audit.formats.shared.yolo_tasks import BOX, CORNERS, Task, declared, infer
from trainworthy_audit.source.text import BYTE_ORDER_MARKS, decode_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from trainworthy_audit.formats.shared.builder import DatasetBuilder

#: A larger label file is not read, in bytes: ten thousand polygons of a hundred points fit into half of it.
FILE_LIMIT = 64 * 2**20

#: A longer line is not split into numbers, in characters: no polygon has fifty thousand points.
LINE_LIMIT = 2**20

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")

#: So many label files are looked into, to tell which task their rows are made for.
SAMPLE = 100

#: Bytes of each that are looked at.
SAMPLED = 2**14

#: How much of what is no row at all is kept verbatim, in characters.
KEPT = 1000


class Row(NamedTuple):
    """What one line says."""

    class_id: int
    shape: str  # as in `types.BOXES`
    edges: tuple[
        float, float, float, float
    ]  # x1, y1, x2, y2 as fractions of the image; NaN or infinite as written
    numbers: list[float]  # those behind the class


def parse(words: list[str], task: Task = Task("boxes")) -> Row:  # noqa: B008 - it is frozen
    """Read the words of one line. Raises `MalformedError` where they are no row of the task, and no box."""
    class_id = _class_id(words[0])
    count = len(words) - 1
    is_pose = task.kind == "keypoints" and count == task.width
    if count == BOX or is_pose:
        numbers = _numbers(words[1:])
        cx, cy, width, height = numbers[:BOX]
        edges = (cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2)
        return Row(class_id, "keypoints" if is_pose else "box", edges, numbers)
    numbers = _numbers(words[1:])
    if task.kind == "keypoints" and task.declared:
        raise MalformedError(_wrong_pose(count, task))
    if count < 6 or count % 2:
        raise MalformedError(_wrong_count(len(words), task))
    left, right = _extent(numbers[::2])
    top, bottom = _extent(numbers[1::2])
    oriented = task.kind == "oriented" and count == CORNERS
    return Row(class_id, "oriented" if oriented else "polygon", (left, top, right, bottom), numbers)


def add_labels(
    builder: DatasetBuilder,
    labels: Sequence[tuple[str, int | None]],
    names: Mapping[int, str],
    kpt_shape: tuple[int, int] | None = None,
) -> None:
    """Read each (label file, image) into `builder`: boxes as fractions, and verbatim what cannot be read.

    `box` counts the lines that are not blank, so that a bad row does not renumber the ones after it. `kpt_shape` is
    (keypoints an object, numbers a keypoint) where it is declared.
    """
    builder.fractions = True
    task = declared(kpt_shape) if kpt_shape else infer(_sample(builder, labels))
    files: list[str] = []
    images: list[int | None] = []
    counts: list[int] = []
    shapes: list[str] = []
    lines, boxes, ids = array("q"), array("q"), array("q")
    edges = array("d")
    flaws = ShapeFlaws()
    for path, image in labels:
        before = len(lines)
        for number, box, words, line in _rows(builder, path, image):
            try:
                row = parse(words, task)
            except MalformedError as error:
                builder.add_unread(path, str(error), text=line, line=number, image=image, box=box)
                continue
            if row.shape != "box":
                flaws.add(row.shape, len(lines), row.numbers, task.numbers or 2)
            lines.append(number)
            boxes.append(box)
            ids.append(row.class_id)
            shapes.append(row.shape)
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
            "shape": pl.Series(shapes, dtype=pl.String),
            **{edge: corners[:, index] for index, edge in enumerate(("x1", "y1", "x2", "y2"))},
        }
    )
    label = (
        pl.col("class_id").replace_strict(names, default=None, return_dtype=pl.String)
        if names
        else pl.lit(None)
    )
    builder.add_boxes(frame.with_columns(label.alias("label")), flaws.frame())
    builder.notes += _task_notes(Counter(shapes), task)


def _sample(builder: DatasetBuilder, labels: Sequence[tuple[str, int | None]]) -> list[list[float]]:
    """The numbers of the first rows of some label files, evenly chosen."""
    rows: list[list[float]] = []
    for path, _ in labels[:: max(1, len(labels) // SAMPLE)]:
        try:
            beginning = builder.source.head(path, SAMPLED)
        except OSError:
            continue
        lines = decode_text(beginning).splitlines()
        for line in lines if len(beginning) < SAMPLED else lines[:-1]:  # the last one may be cut
            if len(line) <= LINE_LIMIT and line.strip():
                try:
                    rows.append(_numbers(line.split()[1:]))
                except MalformedError:
                    continue
    return rows


def _task_notes(shapes: Mapping[str, int], task: Task) -> Iterator[str]:
    """What the rows are, where they are not plain boxes."""
    total = sum(shapes.values())
    if count := shapes.get("keypoints", 0):
        kind = "x y visibility" if task.numbers == 3 else "x y"
        points = f"{task.points} keypoint{'s' if task.points != 1 else ''} ({kind})"
        yield f"Pose: {count:,} of {total:,} rows hold a box and {points}. The box is each object's own."
        if not task.declared:
            yield (
                f"No data.yaml declares the keypoints: rows of {task.width + 1} numbers were read as poses because of "
                "their values. Trainers that are not told read them as polygons and get other boxes; "
                f"kpt_shape: [{task.points}, {task.numbers}] in data.yaml says so."
            )
    if count := shapes.get("oriented", 0):
        yield (
            f"Oriented boxes: {count:,} of {total:,} rows hold four corners. The upright box around them is what is "
            "audited."
        )
    if count := shapes.get("polygon", 0):
        yield f"Polygons: {count:,} of {total:,} rows hold one. The box around it is what is audited."


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


def _wrong_count(count: int, task: Task) -> str:
    expected = (
        "expected 5 (class, centre x and y, width, height) or, for a polygon, a class and 3 or more x y pairs"
    )
    if task.kind == "keypoints":
        expected = f"expected {_pose_row(task)}, as most rows are"
    if count == 6:
        return (
            f"6 numbers: a row of predictions has a confidence as its sixth, an old form of oriented boxes an angle, "
            f"a label has none; {expected}"
        )
    return f"{count} number{'s' if count != 1 else ''}; {expected}"


def _wrong_pose(count: int, task: Task) -> str:
    """Say which other `kpt_shape` the row fits, if one does."""
    fitting = [
        f"[{(count - BOX) // each}, {each}]" for each in (3, 2) if count > BOX and not (count - BOX) % each
    ]
    fits = f"; the row fits kpt_shape {' or '.join(fitting)}" if fitting else ""
    return f"{count + 1} numbers; expected {_pose_row(task)} of the keypoints that data.yaml declares{fits}"


def _pose_row(task: Task) -> str:
    return f"{task.width + 1} (class, box, and {task.points} x {task.numbers} numbers)"
