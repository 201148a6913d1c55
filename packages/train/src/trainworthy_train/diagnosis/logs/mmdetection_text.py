"""The text log of mmdetection (mmcv 1) and of mmengine (version 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.diagnosis.logs.shared.openmmlab import from_configuration

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

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
    """The runs by epoch and fractions of it, or by iteration if the runner counts iterations."""
    runs = RunSplitter()
    planned = None
    iterations = False
    for line in log.complete_lines():
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
    facts, _ = from_configuration(log.head)
    for run in runs:
        run.planned = planned
        run.facts |= facts
        run.unit = "iteration" if iterations else "epoch"
        if run.unit == "epoch" and run.first_step is not None and run.first_step > 1:
            run.facts.setdefault("continued", True)
            run.note("The log does not start with the first epoch: the run continues another.")
    return runs.curves()


def _add(run: CurvesBuilder, step: float, text: str, prefix: str = "") -> None:
    for key, value in _VALUE.findall(text):
        name = series_name(key)
        if name:
            run.add(f"{prefix}{name}" if name.startswith("loss") else name, step, number(value))


def _validation(runs: RunSplitter, match: re.Match[str], *, iterations: bool) -> None:
    """Version 1 logs `Epoch(val) [12][938]`; version 3, by iteration, `Iter(val) [5/5]`, which counts batches."""
    step = float(match[2])
    if iterations:
        if not len(runs):
            return
        step = max(runs.current.last_step, 0.0)
    _add(runs.at(step), step, match[3], "val_")


FORMAT = LogFormat(
    title="mmdetection text log",
    recognized_by='lines with "mmdet - INFO" or "mmengine - INFO", versions 1 to 3',
    contains=(
        "loss and its parts, learning rate, mAP@50 and mAP; from its configuration: planned epochs, classes, "
        "the weights that it started from or continues"
    ),
    not_read="metrics by object size, masks",
    order=120,
    sniff=sniff,
    read=read,
)
