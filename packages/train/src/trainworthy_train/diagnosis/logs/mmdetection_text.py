"""The text log of mmdetection (mmcv 1) and of mmengine (version 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number
from trainworthy_train.diagnosis.logs.mmdetection import configured

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "mmdetection text log"
KNOWN_BY = (
    'lines with "mmdet - INFO" or "mmengine - INFO", and "Epoch [1][50/938]" or "Epoch(train)  [1][ 50/938]"'
)

_TRAIN = re.compile(r"INFO - Epoch(?:\(train\))?\s*\[(\d{1,7})\]\[\s*(\d{1,9})/(\d{1,9})\]\s+(.*)")
_ITERATION = re.compile(r"INFO - Iter(?:\(train\))?\s*\[\s*(\d{1,9})/(\d{1,9})\]\s+(.*)")
_VALIDATION = re.compile(
    r"INFO - (Epoch|Iter)\(val\)\s*\[\s*(\d{1,9})(?:/\d+)?\]\s*(?:\[\s*\d+(?:/\d+)?\])?\s*(.*)"
)
_VALUE = re.compile(r"([A-Za-z][\w./@]*): (-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)(?=[,\s]|$)")
_PLANNED = re.compile(r"max: (\d{1,9}) (epochs|iters)|^max_epochs = (\d{1,7})$")


def sniff(log: Log) -> bool:
    """Whether it is the log of an OpenMMLab runner."""
    return bool(re.search(r" - (mmdet|mmengine|mmcv)\w* - (INFO|WARNING|ERROR) - ", log.head))


def read(log: Log) -> list[Curves]:
    """The runs by epoch and fractions of it, or by iteration where the runner counts them."""
    runs = Runs()
    planned = None
    iterations = False
    for line in log.sure_lines():
        if match := _TRAIN.search(line):
            step = int(match[1]) - 1 + int(match[2]) / max(int(match[3]), 1)
            _add(runs.at(step), step, match[4])
        elif match := _ITERATION.search(line):
            iterations, planned = True, float(match[2])
            _add(runs.at(float(match[1])), float(match[1]), match[3])
        elif match := _VALIDATION.search(line):
            _validation(runs, match, iterations=iterations)
        elif match := _PLANNED.search(line):
            planned = float(match[1] or match[3])
    facts, _ = configured(log.head)
    for draft in runs.drafts:
        draft.planned = planned
        draft.facts |= facts
        draft.unit = "iteration" if iterations else "epoch"
        if draft.unit == "epoch" and draft.first is not None and draft.first > 1:
            draft.facts.setdefault("continued", True)
            draft.note("The log does not begin with the first epoch: the run continues another.")
    return runs.curves("mmdetection_text")


def _add(draft: Draft, step: float, text: str, prefix: str = "") -> None:
    for key, value in _VALUE.findall(text):
        name = names.series(key)
        if name:
            draft.add(f"{prefix}{name}" if name.startswith("loss") else name, step, number(value))


def _validation(runs: Runs, match: re.Match[str], *, iterations: bool) -> None:
    """Version 1 logs `Epoch(val) [12][938]`; a runner by iteration of version 3 `Iter(val) [5/5]`, its own count."""
    step = float(match[2])
    if iterations:
        if not runs.drafts:
            return
        step = max(runs.drafts[-1].last, 0.0)
    _add(runs.at(step), step, match[3], "val_")
