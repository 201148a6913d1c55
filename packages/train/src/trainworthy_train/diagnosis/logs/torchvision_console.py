"""The console output of torchvision's detection references, and of what took over its logger, such as DETR."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import coco, names
from trainworthy_train.diagnosis.logs.draft import Runs
from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "torchvision references' console output"
KNOWN_BY = 'lines such as "Epoch: [0]  [ 10/119]  eta: 0:01:58  lr: 0.005  loss: 0.9 (1.2)"'

_STEP = re.compile(r"Epoch: \[(\d{1,7})\]\s+\[\s*(\d{1,9})/(\d{1,9})\]\s+(.*)")
_VALUE = re.compile(r"(\w+): (-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)\b")


def sniff(log: Log) -> bool:
    """Whether there is such a line."""
    return bool(re.search(r"Epoch: \[\d+\]\s+\[\s*\d+/\d+\]\s+eta: ", log.head))


def read(log: Log) -> list[Curves]:
    """The runs; losses at fractions of epochs (medians of the last 20 steps), metrics at the end of each."""
    runs = Runs()
    kind = "bbox"
    for line in log.sure_lines():
        match = _STEP.search(line)
        if match:
            length = max(int(match[3]), 1)
            step = int(match[1]) + (int(match[2]) + 1) / length
            draft = runs.at(step)
            for key, value in _VALUE.findall(match[4]):
                name = names.series(key)
                if name:
                    draft.add(name, step, number(value))
        elif "IoU metric:" in line:
            kind = "bbox" if "bbox" in line else line  # masks and keypoints have a summary of the same kind
        elif kind == "bbox" and runs.drafts and (found := coco.score(line)):
            draft = runs.drafts[-1]
            draft.add(found[0], float(-(-draft.last // 1)), found[1])  # the epoch that ended
    return runs.curves("torchvision_console")
