"""`results.csv` of YOLOv5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.tables import header
from trainworthy_train.diagnosis.logs.shared.yolo_csv import read_results

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def sniff(log: Log) -> bool:
    """Whether the header is YOLOv5's."""
    columns = header(log.head)
    return columns[0] == "epoch" and any(c in {"metrics/mAP_0.5", "x/lr0"} for c in columns)


def read(log: Log) -> list[Curves]:
    """One run, or several that were appended to one file; epochs count from 0 in the file."""
    return read_results(log, settings="opt.yaml", shift=1, mosaic_ends=False)


FORMAT = LogFormat(
    title="YOLOv5 results.csv",
    recognized_by="a CSV header with `epoch`, and `metrics/mAP_0.5` or `x/lr0`",
    contains=(
        "the parts of both losses, precision, recall, mAP@50, mAP, learning rate; from `opt.yaml` beside it: "
        "planned epochs, the weights that it started from"
    ),
    order=80,
    sniff=sniff,
    read=read,
)
