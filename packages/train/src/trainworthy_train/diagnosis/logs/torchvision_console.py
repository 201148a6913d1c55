"""The console output of torchvision's detection references, and of projects with the same logger, such as DETR."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared import coco
from trainworthy_train.diagnosis.logs.shared.builder import RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

_STEP = re.compile(r"Epoch: \[(\d{1,7})\]\s+\[\s*(\d{1,9})/(\d{1,9})\]\s+(.*)")
_VALUE = re.compile(r"(\w+): (-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)\b")


def sniff(log: Log) -> bool:
    """Whether there is such a line."""
    return bool(re.search(r"Epoch: \[\d+\]\s+\[\s*\d+/\d+\]\s+eta: ", log.head))


def read(log: Log) -> list[Curves]:
    """The runs; losses at fractions of epochs (medians of the last 20 steps), metrics at the end of each."""
    runs = RunSplitter()
    kind = "bbox"
    for line in log.complete_lines():
        match = _STEP.search(line)
        if match:
            length = max(int(match[3]), 1)
            step = int(match[1]) + (int(match[2]) + 1) / length
            run = runs.at(step)
            for key, value in _VALUE.findall(match[4]):
                run.add_named(key, step, value)
        elif "IoU metric:" in line:
            kind = "bbox" if "bbox" in line else line  # masks and keypoints have a summary of the same kind
        elif kind == "bbox" and runs and (score := coco.score(line)):
            name, value = score
            runs.current.add(name, math.ceil(runs.current.last_step), value)  # the epoch that ended
    return runs.curves()


FORMAT = LogFormat(
    title="torchvision references' console output",
    recognized_by="lines such as `Epoch: [0]  [ 10/119]  eta: 0:01:58  lr: 0.005  loss: 0.9 (1.2)`",
    contains="losses (the median of 20 steps), learning rate, COCO's mAP@50 and mAP of boxes",
    not_read="masks and keypoints, global averages",
    order=160,
    sniff=sniff,
    read=read,
)
