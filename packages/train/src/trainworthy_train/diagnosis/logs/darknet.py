"""The console output of darknet, AlexeyAB's fork and the original, with or without `-map`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "darknet console output"
KNOWN_BY = 'lines such as "100: 2.31, 2.54 avg loss, 0.001 rate, 4.2 seconds, 6400 images"'

_STEP = re.compile(r"^\s*(\d{1,9}): (\S+), (\S+) avg(?: loss)?, (\S+) rate, \S+ seconds, (\d+) images")
_MAP = re.compile(r"mean average precision \(mAP(?:@0\.50?)?\) = (\S+), or ")
_LAST = re.compile(r"Last accuracy mAP@0\.50? = (\S+) ?%")
_SCORES = re.compile(r"for (?:conf_)?thresh = \S+, precision = (\S+), recall = (\S+), F1-score")
_IOU = re.compile(r"average IoU = (\S+) %")
_WEIGHTS = re.compile(r"^ *Loading weights from (\S+?)\.\.\.")
_GOAL = re.compile(r"\x1b\]2;\d+/(\d{1,9}): ")


def sniff(log: Log) -> bool:
    """Whether there is a line of an iteration."""
    return bool(re.search(r"^\s*\d+: \S+, \S+ avg(?: loss)?, \S+ rate,", log.head, re.MULTILINE))


def read(log: Log) -> list[Curves]:
    """The runs by iteration: the running average of the loss, and mAP, precision, recall and IoU where evaluated."""
    runs = Runs(lambda: Draft("iteration"))
    last_map: dict[float, float] = {}  # of filtered logs, in which nothing else tells of the mAP
    goal = weights = None
    for line in log.lines():
        if (found := _GOAL.search(line)) is not None:
            goal = float(found[1])
        if match := _STEP.match(line):
            step = float(match[1])
            draft = runs.at(step, once=True)
            draft.planned = goal
            draft.add("loss", step, number(match[3]))
            draft.add("lr", step, number(match[4]))
        elif match := _WEIGHTS.match(line):
            weights = match[1]
        elif runs.drafts:
            _scores(runs.drafts[-1], line, last_map)
    for draft in runs.drafts:
        if "map50" not in draft.points and last_map and len(runs.drafts) == 1:
            draft.points["map50"] = last_map
        if weights:  # of a backbone, darknet53.conv.74, or of a whole network
            draft.facts["pretrained"] = weights
        if draft.points:
            draft.note(
                "The loss is darknet's own running average. The -nan of Region lines are layers without an object."
            )
    return runs.curves("darknet")


def _scores(draft: Draft, line: str, last_map: dict[float, float]) -> None:
    """What an evaluation after the last iteration printed."""
    step = draft.last
    if match := _MAP.search(line):
        draft.add("map50", step, number(match[1]))
    elif match := _SCORES.search(line):
        draft.add("precision", step, number(match[1].strip(",")))
        draft.add("recall", step, number(match[2].strip(",")))
    elif match := _IOU.search(line):
        iou = number(match[1])
        draft.add("iou", step, None if iou is None else iou / 100)
    elif match := _LAST.search(line):
        share = number(match[1])
        before = last_map[max(last_map)] if last_map else None
        if share is not None and share / 100 != before:  # it is printed again at each iteration
            last_map[step] = share / 100
