"""The progress bars of Lightning, as its console output has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

#: "Epoch 4: 100%|####| 10/10 [00:01<00:00, 9.22it/s, v_num=0, train_loss=0.31, map50=0.61]"
_BAR = re.compile(r"^Epoch (\d{1,7}):\s+(\d{1,3})%\|.*\[[^\]]*(?:it/s|s/it)[,\s]+([^\]]*=[^\]]*)\]")
_PAIR = re.compile(r"([\w/.@()\-]{1,60})=(-?[\d.]+(?:e[-+]?\d+)?|-?nan|-?inf)", re.IGNORECASE)


def sniff(log: Log) -> bool:
    """Whether a line is a bar of an epoch with values behind it."""
    return any(_BAR.match(line) for line in log.head.split("\n"))


def read(log: Log) -> list[Curves]:
    """The runs: of each epoch what its last full bar shows. Epochs count from 0 in the output."""
    runs = RunSplitter()
    for line in log.complete_lines("\n"):
        match = _BAR.match(line)
        if match is None or match[2] != "100":
            continue
        epoch = int(match[1]) + 1.0
        run = runs.at(epoch)
        for key, value in _PAIR.findall(match[3]):
            run.add_named(key, epoch, value)
    return runs.curves()


FORMAT = LogFormat(
    title="console output of Lightning",
    recognized_by="progress bars that begin with `Epoch N:` and end with `name=value` pairs in brackets",
    contains="the values of each epoch's last full bar whose names are known (see below)",
    not_read="values between, such as those of single steps",
    order=135,
    sniff=sniff,
    read=read,
)
