"""`results.csv` of ultralytics, version 8 and later, with or without a `time` column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import yolov5_csv
from trainworthy_train.diagnosis.logs.tables import header

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "ultralytics results.csv (version 8 and later)"
KNOWN_BY = "a CSV header with epoch, train/..., and lr/pg0 or metrics/...(B)"


def sniff(log: Log) -> bool:
    """Whether the header is ultralytics' own."""
    columns = header(log.head)
    return columns[0] == "epoch" and any(
        c.startswith(("lr/pg", "metrics/mAP50(", "metrics/accuracy_")) for c in columns
    )


def read(log: Log) -> list[Curves]:
    """One run, or several that were appended to one file. Epochs count from 1 in the file too."""
    return yolov5_csv.table(log, "ultralytics_csv", settings="args.yaml", shift=0)
