"""`results.csv` of ultralytics, version 8 and later, with or without a `time` column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.tables import header
from trainworthy_train.diagnosis.logs.shared.yolo_csv import read_results

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def sniff(log: Log) -> bool:
    """Whether the header is ultralytics' own."""
    columns = header(log.head)
    return columns[0] == "epoch" and any(
        c.startswith(("lr/pg", "metrics/mAP50(", "metrics/accuracy_")) for c in columns
    )


def read(log: Log) -> list[Curves]:
    """One run, or several that were appended to one file. Epochs count from 1 in the file too."""
    return read_results(log, settings="args.yaml", shift=0, mosaic_ends=True)


FORMAT = LogFormat(
    title="ultralytics results.csv (version 8 and later)",
    recognized_by="a CSV header with `epoch`, and `lr/pg0`, `metrics/mAP50(...)` or `metrics/accuracy_...`",
    contains=(
        "the parts of both losses, precision, recall, mAP@50 and mAP of boxes, learning rate; from "
        "`args.yaml` beside it: planned epochs, `close_mosaic`, the weights that it started from"
    ),
    not_read="metrics of masks and keypoints, accuracies",
    order=70,
    sniff=sniff,
    read=read,
)
