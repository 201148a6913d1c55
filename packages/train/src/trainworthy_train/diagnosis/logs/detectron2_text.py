"""The text log of detectron2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

_STEP = re.compile(r"\biter: (\d{1,9})  (total_loss: .*|loss.*)")
_VALUE = re.compile(r"(\w+): (-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)(?=\s|$)")
_COPY = re.compile(r"copypaste: (Task: \w+|[\d.,na\-]+)\s*$")
_GOAL = re.compile(r"max_iter[:=] ?(\d{1,9})|MAX_ITER: (\d{1,9})")


def sniff(log: Log) -> bool:
    """Whether there is a line of an iteration, or of detectron2's own logger."""
    return bool(re.search(r"\biter: \d+  (total_loss|loss)|\bd2\.(engine|utils|data)\.", log.head))


def read(log: Log) -> list[Curves]:
    """The runs by iteration; metrics, which are logged in percent, where COCO's evaluation was logged."""
    runs = RunSplitter("iteration")
    boxes = False
    planned = None
    for line in log.complete_lines():
        if match := _STEP.search(line):
            _step(runs, match, planned)
        elif match := _COPY.search(line):
            if match[1].startswith("Task"):
                boxes = match[1] == "Task: bbox"
            elif boxes and len(runs):
                _copypaste(runs.current, match[1])
        elif match := _GOAL.search(line):
            planned = float(match[1] or match[2])
    for run in runs:
        if "map50" in run.points:
            run.convert_percent()
    return runs.curves()


def _step(runs: RunSplitter, match: re.Match[str], planned: float | None) -> None:
    step = float(match[1])
    run = runs.at(step)
    run.planned = planned
    for key, value in _VALUE.findall(match[2]):
        run.add_named(key, step, value)


def _copypaste(run: CurvesBuilder, text: str) -> None:
    """The line with AP, AP50, AP75, APs, APm, APl."""
    cells = text.split(",")
    if len(cells) >= 3:
        for name, cell in zip(("map", "map50"), cells, strict=False):
            run.add(name, run.last_step, number(cell))


FORMAT = LogFormat(
    title="detectron2 log.txt",
    recognized_by="lines such as `eta: 8:43:33  iter: 19  total_loss: 4.345  loss_cls: 3.575`",
    contains="loss and its parts, learning rate, mAP@50 and mAP, planned iterations",
    not_read="single classes, masks, keypoints",
    order=130,
    sniff=sniff,
    read=read,
)
