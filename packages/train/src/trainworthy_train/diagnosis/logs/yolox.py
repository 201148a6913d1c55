"""`train_log.txt` of YOLOX."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared import coco
from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

_STEP = re.compile(r"epoch: (\d{1,7})/(\d{1,7}), iter: (\d{1,9})/(\d{1,9}), (.*)")
_VALUE = re.compile(r"(\w+): (-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)(?=[,\s]|$)")


def sniff(log: Log) -> bool:
    """Whether it was written by the trainer of YOLOX."""
    return "yolox.core.trainer:" in log.head or bool(
        re.search(r"epoch: \d+/\d+, iter: \d+/\d+, mem: ", log.head)
    )


def read(log: Log) -> list[Curves]:
    """The runs; losses at fractions of epochs, metrics at the end of each. Epochs count from 1 in the file too."""
    runs = RunSplitter()
    facts: dict[str, float] = {}
    fine_tuned = False
    for line in log.complete_lines():
        if match := _STEP.search(line):
            step = int(match[1]) - 1 + int(match[3]) / max(int(match[4]), 1)
            run = runs.at(step)
            run.planned = float(match[2])
            for key, value in _VALUE.findall(match[5]):
                run.add_named(key, step, value)
            _facts(run, facts)
            if fine_tuned:
                run.facts["pretrained"] = True
        elif runs and (score := coco.score(line)):
            name, value = score
            runs.current.add(name, math.ceil(runs.current.last_step), value)  # the epoch that ended
        elif setting := re.match(r"[│|] (num_classes|no_aug_epochs)\s*[│|] (\d{1,7})\b", line):
            facts[setting[1]] = float(setting[2])
        elif "loading checkpoint for fine tuning" in line:
            fine_tuned = True
        elif runs and "CUDA out of memory" in line:
            runs.current.facts["out_of_memory"] = True
    return runs.curves()


def _facts(run: CurvesBuilder, facts: dict[str, float]) -> None:
    """Like ultralytics, YOLOX ends with epochs without mosaic; a further loss (L1) is added in them."""
    if "num_classes" in facts:
        run.facts["classes"] = int(facts["num_classes"])
    if run.planned and facts.get("no_aug_epochs"):
        off = run.planned - facts["no_aug_epochs"] + 1
        if 1 < off <= run.last_step + 1:
            run.facts["mosaic_off"] = off


FORMAT = LogFormat(
    title="YOLOX train_log.txt",
    recognized_by="lines such as `epoch: 1/300, iter: 10/717, mem: 980Mb, ..., total_loss: 12.5`",
    contains=(
        "losses, learning rate, COCO's mAP@50 and mAP; classes, planned epochs, when augmentation ends, "
        "whether the GPU ran out of memory"
    ),
    order=140,
    sniff=sniff,
    read=read,
)
