"""The text log of detectron2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "detectron2 log.txt"
KNOWN_BY = 'lines such as "eta: 8:43:33  iter: 19  total_loss: 4.345  loss_cls: 3.575"'

_STEP = re.compile(r"\biter: (\d{1,9})  (total_loss: .*|loss.*)")
_VALUE = re.compile(r"(\w+): (-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)(?=\s|$)")
_COPY = re.compile(r"copypaste: (Task: \w+|[\d.,na\-]+)\s*$")
_GOAL = re.compile(r"max_iter[:=] ?(\d{1,9})|MAX_ITER: (\d{1,9})")


def sniff(log: Log) -> bool:
    """Whether there is a line of an iteration, or of detectron2's own logger."""
    return bool(re.search(r"\biter: \d+  (total_loss|loss)|\bd2\.(engine|utils|data)\.", log.head))


def read(log: Log) -> list[Curves]:
    """The runs by iteration; metrics, in percent there, where COCO's evaluation was logged."""
    runs = Runs(lambda: Draft("iteration"))
    boxes = False
    planned = None
    for line in log.sure_lines():
        if match := _STEP.search(line):
            _step(runs, match, planned)
        elif match := _COPY.search(line):
            if match[1].startswith("Task"):
                boxes = match[1] == "Task: bbox"
            elif boxes and runs.drafts:
                _copypaste(runs.drafts[-1], match[1])
        elif match := _GOAL.search(line):
            planned = float(match[1] or match[2])
    for draft in runs.drafts:
        if "map50" in draft.points:
            draft.percent()
    return runs.curves("detectron2_text")


def _step(runs: Runs, match: re.Match[str], planned: float | None) -> None:
    step = float(match[1])
    draft = runs.at(step)
    draft.planned = planned
    for key, value in _VALUE.findall(match[2]):
        name = names.series(key)
        if name:
            draft.add(name, step, number(value))


def _copypaste(draft: Draft, text: str) -> None:
    """The line of AP, AP50, AP75, APs, APm, APl."""
    cells = text.split(",")
    if len(cells) >= 3:
        for name, cell in zip(("map", "map50"), cells, strict=False):
            draft.add(name, draft.last, number(cell))
