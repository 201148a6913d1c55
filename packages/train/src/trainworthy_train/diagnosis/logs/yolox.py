"""`train_log.txt` of YOLOX."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import coco, names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "YOLOX train_log.txt"
KNOWN_BY = 'lines such as "epoch: 1/300, iter: 10/717, mem: 980Mb, ..., total_loss: 12.5"'

_STEP = re.compile(r"epoch: (\d{1,7})/(\d{1,7}), iter: (\d{1,9})/(\d{1,9}), (.*)")
_VALUE = re.compile(r"(\w+): (-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)(?=[,\s]|$)")


def sniff(log: Log) -> bool:
    """Whether it was written by YOLOX' trainer."""
    return "yolox.core.trainer:" in log.head or bool(
        re.search(r"epoch: \d+/\d+, iter: \d+/\d+, mem: ", log.head)
    )


def read(log: Log) -> list[Curves]:
    """The runs; losses at fractions of epochs, metrics at the end of each. Epochs count from 1 in the file too."""
    runs = Runs()
    facts: dict[str, float] = {}
    tuned = False
    for line in log.sure_lines():
        if match := _STEP.search(line):
            step = int(match[1]) - 1 + int(match[3]) / max(int(match[4]), 1)
            draft = runs.at(step)
            draft.planned = float(match[2])
            for key, value in _VALUE.findall(match[5]):
                name = names.series(key)
                if name:
                    draft.add(name, step, number(value))
            _facts(draft, facts)
            if tuned:
                draft.facts["pretrained"] = True
        elif runs.drafts and (found := coco.score(line)):
            runs.drafts[-1].add(found[0], float(-(-runs.drafts[-1].last // 1)), found[1])
        elif setting := re.match(r"[│|] (num_classes|no_aug_epochs)\s*[│|] (\d+)", line):
            facts[setting[1]] = float(setting[2])
        elif "loading checkpoint for fine tuning" in line:
            tuned = True
        elif runs.drafts and "CUDA out of memory" in line:
            runs.drafts[-1].facts["out_of_memory"] = True
    return runs.curves("yolox")


def _facts(draft: Draft, facts: dict[str, float]) -> None:
    """YOLOX, too, ends with epochs without mosaic, in which a further loss (L1) is added."""
    if "num_classes" in facts:
        draft.facts["classes"] = int(facts["num_classes"])
    if draft.planned and facts.get("no_aug_epochs"):
        off = draft.planned - facts["no_aug_epochs"] + 1
        if 1 < off <= draft.last + 1:
            draft.facts["mosaic_off"] = off
