"""The console output of darknet, AlexeyAB's fork and the original, with or without `-map`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

_STEP = re.compile(r"^\s*(\d{1,9}): (\S+), (\S+) avg(?: loss)?, (\S+) rate, \S+ seconds, (\d{1,15}) images")
_MAP = re.compile(r"mean average precision \(mAP(?:@0\.50?)?\) = (\S+), or ")
_LAST = re.compile(r"Last accuracy mAP@0\.50? = (\S+) ?%")
_SCORES = re.compile(r"for (?:conf_)?thresh = \S+, precision = (\S+), recall = (\S+), F1-score")
_IOU = re.compile(r"average IoU = (\S+) %")
_WEIGHTS = re.compile(r"^ *Loading weights from (\S+?)\.\.\.")
_TITLE = re.compile(r"\x1b\]2;\d+/(\d{1,9}): ")


def sniff(log: Log) -> bool:
    """Whether there is a line of an iteration."""
    return bool(re.search(r"^\s*\d+: \S+, \S+ avg(?: loss)?, \S+ rate,", log.head, re.MULTILINE))


def read(log: Log) -> list[Curves]:
    """The runs by iteration: the running average of the loss, and mAP, precision, recall and IoU if evaluated."""
    runs = RunSplitter("iteration")
    last_map: dict[float, float] = {}  # for filtered logs, in which no other line has the mAP
    planned = weights = None
    for line in log.lines():
        if (title := _TITLE.search(line)) is not None:
            planned = float(title[1])
        if match := _STEP.match(line):
            step = float(match[1])
            run = runs.at(step, one_line_per_step=True)
            run.planned = planned
            run.add("loss", step, number(match[3]))
            run.add("lr", step, number(match[4]))
        elif match := _WEIGHTS.match(line):
            weights = match[1]
        elif len(runs):
            _scores(runs.current, line, last_map)
    for run in runs:
        if "map50" not in run.points and last_map and len(runs) == 1:
            run.points["map50"] = last_map
        if weights:  # of a backbone, such as darknet53.conv.74, or of a whole network
            run.facts["pretrained"] = weights
        if run.points:
            run.note(
                "The loss is darknet's own running average. -nan in Region lines means a layer without an object."
            )
    return runs.curves()


def _scores(run: CurvesBuilder, line: str, last_map: dict[float, float]) -> None:
    """The metrics of an evaluation after the last iteration."""
    step = run.last_step
    if match := _MAP.search(line):
        run.add("map50", step, number(match[1]))
    elif match := _SCORES.search(line):
        run.add("precision", step, number(match[1].strip(",")))
        run.add("recall", step, number(match[2].strip(",")))
    elif match := _IOU.search(line):
        iou = number(match[1])
        run.add("iou", step, None if iou is None else iou / 100)
    elif match := _LAST.search(line):
        percent = number(match[1])
        before = last_map[max(last_map)] if last_map else None
        if percent is not None and percent / 100 != before:  # it is printed again at every iteration
            last_map[step] = percent / 100


FORMAT = LogFormat(
    title="darknet console output",
    recognized_by=(
        "lines such as `100: 2.31, 2.54 avg loss, 0.001 rate, 4.2 seconds, 6400 images`, of the original or "
        "AlexeyAB's fork"
    ),
    contains=(
        "the running average of the loss, learning rate; with `-map` mAP@50, precision, recall, IoU; planned "
        "iterations, initial weights"
    ),
    not_read="the loss of single batches; `Region` and `v3` lines, where `-nan` means a layer without an object",
    order=150,
    sniff=sniff,
    read=read,
)
