"""`results.txt` of YOLOv5 before its CSV, YOLOv7 and Scaled-YOLOv4: rows of numbers without a header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.draft import Runs
from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "YOLOv5 results.txt (and YOLOv7's)"
KNOWN_BY = "rows that begin with an epoch such as 0/99 and memory such as 1.2G, then numbers only"

_ROW = re.compile(r"\s*(\d+)/(\d+)\s+([\d.]+)G?((?:\s+[-+\w.]+){6,20})\s*")

#: What the columns after epoch and memory are: the parts of the loss, of which there may be more (landmarks, key
#: points), mostly their sum, the number of labels and the size of the images. An epoch without an evaluation has no
#: others; one with it has precision, recall, mAP at IoU 0.5, in some versions at 0.75, mAP, and validation losses.
_PARTS = ("box", "obj", "cls")
_SCORES = ("precision", "recall", "map50")

_LEAST_SIZE = 32  # pixels: the stride of these detectors, of which the size is a multiple
_FIRST_SIZE = len(_PARTS) + 1  # the place of the size where the losses have no sum before the labels
_SOME = 0.5  # share of the rows that has to agree on what a column is


@dataclass(frozen=True)
class _Layout:
    """Where the columns of a file are, after epoch and memory."""

    size: int  # the place of the size of the images; the number of labels is before it
    total: bool  # whether the last loss is the sum of those before it

    def fits(self, words: Sequence[str]) -> bool:
        """Whether a row has whole numbers where this layout has labels and size, so that no loss is one of them."""
        return _sized(words, self.size)

    def names(self, count: int) -> tuple[str, ...]:
        """The series of a row's cells, "" for those that are none."""
        further = ("",) * (self.size - 1 - len(_PARTS) - self.total)
        losses = tuple(f"loss/{part}" for part in _PARTS) + further + (("loss",) if self.total else ())
        evaluated = count - self.size - 1
        # A column more than usual is a further validation loss where training has further losses, too; else it is
        # mAP at 0.75, before that at 0.5 to 0.95.
        usual = len(_SCORES) + 1 + len(_PARTS)
        at_75 = ("",) if evaluated == usual + 1 and not further else ()
        validation = tuple(f"val_loss/{part}" for part in _PARTS) if evaluated >= usual else ()
        return (*losses, "", "", *_SCORES, *at_75, "map", *validation)


def sniff(log: Log) -> bool:
    """Whether the first line that is not blank is such a row, with a number of labels and a size in it."""
    first = next((line for line in log.head.split("\n") if line.strip()), "")
    match = _ROW.fullmatch(first)
    words = match[4].split() if match else []
    return any(_sized(words, place) for place in range(_FIRST_SIZE, len(words)))


def read(log: Log) -> list[Curves]:
    """One run, or several that were appended to one file; epochs count from 0 in the file."""
    runs = Runs()
    rows = [(count, line, _ROW.fullmatch(line)) for count, line in enumerate(log.sure_lines(), 1)]
    layout = _layout([match[4].split() for _, _, match in rows if match])
    unread = 0
    for count, line, match in rows:
        words = match[4].split() if match else []
        cells = [number(word) for word in words]
        if not match or len(match[1]) > 7 or None in cells or not layout.fits(words):
            unread = unread or (count if line.strip() else 0)
            continue
        step = float(match[1]) + 1
        draft = runs.at(step, once=True)
        draft.planned = float(match[2]) + 1
        for name, value in zip(layout.names(len(words)), cells, strict=False):
            if name:
                draft.add(name, step, value)
    for draft in runs.drafts:
        both = [
            (value, draft.points["map50"].get(step, value))
            for step, value in draft.points.get("map", {}).items()
        ]
        if any(value > half + 1e-3 for value, half in both):
            del draft.points[
                "map"
            ]  # YOLOv3's results.txt has F1 in this place, which alone may exceed mAP@50
            draft.note("The column after mAP@50 exceeds it, so that it is F1, as in YOLOv3: it is left out.")
        if not layout.total:
            draft.note(
                "The rows have no sum of the losses: the training loss is the sum of box, obj and cls."
            )
        if unread:
            draft.note(f"Line {unread} is cut off or no row of results: such lines are left out.")
    return runs.curves("yolov5_txt")


def _layout(rows: Sequence[Sequence[str]]) -> _Layout:
    """The layout of a file. The size is told from the losses before it: it and the labels are whole numbers."""
    widest = max(map(len, rows), default=0)
    size = max(
        range(_FIRST_SIZE, max(widest, _FIRST_SIZE + 1)),
        key=lambda place: sum(_sized(words, place) for words in rows),
    )
    sums = [
        losses[-1] >= 0.99 * max(losses[:-1])
        for words in rows
        if len(losses := [found for word in words[: size - 1] if (found := number(word)) is not None])
        == size - 1
    ]
    total = size > _FIRST_SIZE and sum(sums) >= _SOME * len(sums)
    return _Layout(size, total)


def _sized(words: Sequence[str], place: int) -> bool:
    """Whether a size of images stands at `place`, and a number of labels before it."""
    if place >= len(words) or not all(_WHOLE.fullmatch(word) for word in words[place - 1 : place + 1]):
        return False
    size = int(words[place])
    return size >= _LEAST_SIZE and size % _LEAST_SIZE == 0


_WHOLE = re.compile(r"[0-9]{1,7}")
