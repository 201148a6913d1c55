"""`metrics.csv` of Lightning's CSVLogger: epoch and step, and empty cells where nothing was logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.diagnosis.logs.shared.tables import header, rows

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def sniff(log: Log) -> bool:
    """Whether the header has both an epoch and a step, and a column that is known."""
    columns = header(log.head)
    return {"epoch", "step"} <= set(columns) and any(_name(column) for column in columns)


def _name(column: str) -> str:
    """The series of a column. Lightning can log train_loss as train_loss_step and as train_loss_epoch."""
    return series_name(re.sub(r"_step$", "", column)) if column != "step" else ""


def read(log: Log) -> list[Curves]:
    """The run; epochs count from 0 in the file. What is logged within an epoch is at a fraction of it."""
    named = {column: name for column in header(log.head) if (name := _name(column))}
    epoch_wide = [column for column in named if column.endswith("_epoch")]
    for column in epoch_wide:  # the mean of an epoch rather than single steps
        named.pop(column.replace("_epoch", "_step"), None)
    table = [(number(row.get("epoch", "")), number(row.get("step", "")), row) for _, row in rows(log)]
    ends: dict[float, float] = {}
    for epoch, step, _ in table:
        if epoch is not None and step is not None:
            ends[epoch] = max(ends.get(epoch, 0.0), step + 1)
    length = max((end / (epoch + 1) for epoch, end in ends.items() if epoch >= 0), default=0.0)
    run = CurvesBuilder("epoch")
    for epoch, step, row in table:
        values = {column: number(row.get(column, "")) for column in named}
        if epoch is None or not 0 <= epoch < 1e7:
            continue
        whole = step is None or not length or any(v is not None and _whole(c) for c, v in values.items())
        place = epoch + 1 if whole else min((step + 1) / length, epoch + 1)  # type: ignore[operator]
        for column, name in named.items():
            run.add(name, place, values[column])
    return [run.curves()] if run.points else []


def _whole(column: str) -> bool:
    """Whether a column is logged once per epoch: a mean over it, or a result of validation."""
    return column.endswith("_epoch") or series_name(column).startswith(("val_", "map"))


FORMAT = LogFormat(
    title="Lightning metrics.csv",
    recognized_by="a CSV header with both `epoch` and `step`, and a loss or a metric",
    contains="columns whose names are known; the mean of an epoch rather than single steps",
    order=90,
    sniff=sniff,
    read=read,
)
