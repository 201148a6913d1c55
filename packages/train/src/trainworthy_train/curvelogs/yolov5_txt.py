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

_ROW = re.compile(r"\s*(\d+)/(\d+)\s+([\d.]+)G?((?:\s+[-+\w.]+){6,14})\s*")

#: What the columns after epoch and memory are; an epoch without an evaluation has the first six only.
_COLUMNS = ("loss/box", "loss/obj", "loss/cls", "loss", "", "", "precision", "recall", "map50", "map")
_VALIDATION = ("val_loss/box", "val_loss/obj", "val_loss/cls")


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
        cells = [number(cell) for cell in match[4].split()] if match else []
        if not match or len(match[1]) > 7 or None in cells:
            unread = unread or (count if line.strip() else 0)
            continue
        step = float(match[1]) + 1
        draft = runs.at(step, once=True)
        draft.planned = float(match[2]) + 1
        names = _COLUMNS + (_VALIDATION if len(cells) >= 13 else ())
        for name, value in zip(names, cells, strict=False):
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
