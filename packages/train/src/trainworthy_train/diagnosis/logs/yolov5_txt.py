"""`results.txt` of YOLOv5 before its CSV, YOLOv7 and Scaled-YOLOv4: rows of numbers without a header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

_ROW = re.compile(r"\s*(\d{1,7})/(\d{1,7})\s+([\d.]+)G?((?:\s+[-+\w.]+){6,20})\s*")

#: The columns after epoch and memory are the parts of the loss, of which there may be more (landmarks, keypoints),
#: mostly their sum, the number of labels and the size of the images. An epoch with an evaluation also has precision,
#: recall, mAP at IoU 0.5, in some versions at 0.75, mAP, and validation losses.
_PARTS = ("box", "obj", "cls")
_SCORES = ("precision", "recall", "map50")

_STRIDE = 32  # pixels: the size of the images is a multiple of it
_FIRST_SIZE = len(_PARTS) + 1  # the first column that may be the size: if there is no sum of the losses
_AGREEING = 0.5  # the share of the rows that has to agree on what a column is


@dataclass(frozen=True)
class _Layout:
    """Where the columns of a file are, after epoch and memory."""

    size: int  # the column of the size of the images; the number of labels is before it
    total: bool  # whether the last loss is the sum of those before it

    def fits(self, words: Sequence[str]) -> bool:
        """Whether a row has whole numbers where this layout has labels and size, so that no loss is taken for them."""
        return _has_size(words, self.size)

    def names(self, count: int) -> tuple[str, ...]:
        """The series of each cell of a row, "" for cells that are not read."""
        further = ("",) * (self.size - 1 - len(_PARTS) - self.total)
        losses = tuple(f"loss/{part}" for part in _PARTS) + further + (("loss",) if self.total else ())
        evaluated = count - self.size - 1
        # One column more than usual is a further validation loss if training has further losses, too; else it is mAP at
        # 0.75, before mAP at 0.5 to 0.95.
        usual = len(_SCORES) + 1 + len(_PARTS)
        at_75 = ("",) if evaluated == usual + 1 and not further else ()
        validation = tuple(f"val_loss/{part}" for part in _PARTS) if evaluated >= usual else ()
        return (*losses, "", "", *_SCORES, *at_75, "map", *validation)


def sniff(log: Log) -> bool:
    """Whether the first line that is not blank is such a row, with a number of labels and an image size."""
    first = next((line for line in log.head.split("\n") if line.strip()), "")
    match = _ROW.fullmatch(first)
    words = match[4].split() if match else []
    return any(_has_size(words, column) for column in range(_FIRST_SIZE, len(words)))


def read(log: Log) -> list[Curves]:
    """One run, or several that were appended to one file; epochs count from 0 in the file."""
    runs = RunSplitter()
    rows = [(count, line, _ROW.fullmatch(line)) for count, line in enumerate(log.complete_lines(), 1)]
    layout = _layout([match[4].split() for _, _, match in rows if match])
    unread = 0
    for count, line, match in rows:
        words = match[4].split() if match else []
        cells = [number(word) for word in words]
        if not match or len(match[1]) > 7 or None in cells or not layout.fits(words):
            unread = unread or (count if line.strip() else 0)
            continue
        step = float(match[1]) + 1
        run = runs.at(step, one_line_per_step=True)
        run.planned = float(match[2]) + 1
        for name, value in zip(layout.names(len(words)), cells, strict=False):
            if name:
                run.add(name, step, value)
    for run in runs:
        _drop_f1(run)
        if not layout.total:
            run.note("The rows have no sum of the losses: the training loss is the sum of box, obj and cls.")
        if unread:
            run.note(f"Line {unread} is cut off or not a row of results: such lines are left out.")
    return runs.curves()


def _drop_f1(run: CurvesBuilder) -> None:
    """Remove what is not mAP: YOLOv3's results.txt has F1 in this column, which alone may exceed mAP@50."""
    at_50 = run.points.get("map50", {})
    if any(value > at_50.get(step, value) + 1e-3 for step, value in run.points.get("map", {}).items()):
        del run.points["map"]
        run.note("The column after mAP@50 exceeds it, so that it is F1, as in YOLOv3: it is left out.")


def _layout(rows: Sequence[Sequence[str]]) -> _Layout:
    """The layout of a file. The number of labels and the size differ from the losses in being whole numbers."""
    widest = max(map(len, rows), default=0)
    size = max(
        range(_FIRST_SIZE, max(widest, _FIRST_SIZE + 1)),
        key=lambda column: sum(_has_size(words, column) for words in rows),
    )
    losses = [[value for word in words[: size - 1] if (value := number(word)) is not None] for words in rows]
    sums = [row[-1] >= 0.99 * max(row[:-1]) for row in losses if len(row) == size - 1]
    total = size > _FIRST_SIZE and sum(sums) >= _AGREEING * len(sums)
    return _Layout(size, total)


def _has_size(words: Sequence[str], column: int) -> bool:
    """Whether there is an image size in `column`, and a number of labels before it."""
    if column >= len(words) or not all(_WHOLE.fullmatch(word) for word in words[column - 1 : column + 1]):
        return False
    size = int(words[column])
    return size >= _STRIDE and size % _STRIDE == 0


_WHOLE = re.compile(r"[0-9]{1,7}")


FORMAT = LogFormat(
    title="YOLOv5 results.txt (and YOLOv7's)",
    recognized_by="rows such as `0/99  1.2G  0.11 ...`: an epoch, memory, then numbers only",
    contains=(
        "losses, precision, recall, mAP@50, mAP, validation losses, planned epochs. The metrics come after "
        "the number of labels and the image size (whole numbers; the size is a multiple of 32), because "
        "detectors of faces and poses have further losses before those, and some versions no sum of the "
        "losses, which is then that of box, obj and cls. Rows without such numbers are left out, and a file "
        "without such rows is not of this format"
    ),
    not_read=(
        "those further losses; mAP at IoU 0.75, which some versions have before mAP; F1, which YOLOv3 has "
        "where YOLOv5 has mAP"
    ),
    order=110,
    sniff=sniff,
    read=read,
)
