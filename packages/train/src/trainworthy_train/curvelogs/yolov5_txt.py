"""`results.txt` of YOLOv5 before its CSV, YOLOv7 and Scaled-YOLOv4: rows of numbers without a header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.curvelogs.draft import Runs
from trainworthy_train.curvelogs.log import number

if TYPE_CHECKING:
    from trainworthy_train.curvelogs.log import Log
    from trainworthy_train.types import Curves

TITLE = "YOLOv5 results.txt (and YOLOv7's)"
KNOWN_BY = "rows that begin with an epoch such as 0/99 and memory such as 1.2G, then numbers only"

_ROW = re.compile(r"\s*(\d+)/(\d+)\s+([\d.]+)G?((?:\s+[-+\w.]+){6,20})\s*")

#: What the columns after epoch and memory are: the parts of the loss, of which there may be more (landmarks, key
#: points), their sum, the number of labels and the size of the images. An epoch without an evaluation has no others.
_PARTS = ("loss/box", "loss/obj", "loss/cls")
_SIZED = ("loss", "", "")
_EVALUATED = ("precision", "recall", "map50", "map", "val_loss/box", "val_loss/obj", "val_loss/cls")
_USUAL = len(_PARTS) + len(_SIZED) - 1  # the place of the size, without further parts


def sniff(log: Log) -> bool:
    """Whether the first line that is not blank is such a row."""
    first = next((line for line in log.head.split("\n") if line.strip()), "")
    return bool(_ROW.fullmatch(first))


def read(log: Log) -> list[Curves]:
    """One run, or several that were appended to one file; epochs count from 0 in the file."""
    runs = Runs()
    unread = 0
    for count, line in enumerate(log.sure_lines(), 1):
        match = _ROW.fullmatch(line)
        words = match[4].split() if match else []
        cells = [number(word) for word in words]
        if not match or len(match[1]) > 7 or None in cells:
            unread = unread or (count if line.strip() else 0)
            continue
        step = float(match[1]) + 1
        draft = runs.at(step, once=True)
        draft.planned = float(match[2]) + 1
        for name, value in zip(_names(words), cells, strict=False):
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
        if unread:
            draft.note(f"Line {unread} is cut off or no row of results: such lines are left out.")
    return runs.curves("yolov5_txt")


def _names(words: list[str]) -> tuple[str, ...]:
    """What the cells of a row are. The size is told from the losses before it: it and the labels are whole numbers."""
    whole = [word.isdigit() for word in words]
    size = next(
        (
            place
            for place in range(_USUAL, len(words))
            if whole[place - 1] and whole[place] and int(words[place]) >= _LEAST_SIZE
        ),
        _USUAL,
    )
    further = ("",) * (size - _USUAL)
    evaluated = _EVALUATED if len(words) - size > len(_EVALUATED) else _EVALUATED[:4]
    return _PARTS + further + _SIZED + evaluated


_LEAST_SIZE = 32  # pixels: the stride of these detectors, of which the size is a multiple
