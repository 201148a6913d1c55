"""`metrics.csv` of Lightning's CSVLogger: epoch and step, and cells that are empty where nothing was logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft
from trainworthy_train.diagnosis.logs.log import number
from trainworthy_train.diagnosis.logs.tables import header, rows

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "Lightning metrics.csv"
KNOWN_BY = "a CSV header with both epoch and step, and a loss or a metric"


def sniff(log: Log) -> bool:
    """Whether the header has both."""
    columns = header(log.head)
    return {"epoch", "step"} <= set(columns) and any(_name(column) for column in columns)


def _name(column: str) -> str:
    """Lightning logs train_loss as train_loss_step and train_loss_epoch too, where asked for both."""
    return names.series(re.sub(r"_step$", "", column)) if column != "step" else ""


def read(log: Log) -> list[Curves]:
    """The run; epochs count from 0 in the file. What is logged within an epoch stands at a fraction of it."""
    named = {column: name for column in header(log.head) if (name := _name(column))}
    epoch_wide = [column for column in named if column.endswith("_epoch")]
    for column in epoch_wide:  # the mean over an epoch is the better value of the two
        named.pop(column.replace("_epoch", "_step"), None)
    table = [(number(row.get("epoch", "")), number(row.get("step", "")), row) for _, row in rows(log)]
    ends: dict[float, float] = {}
    for epoch, step, _ in table:
        if epoch is not None and step is not None:
            ends[epoch] = max(ends.get(epoch, 0.0), step + 1)
    length = max((end / (epoch + 1) for epoch, end in ends.items() if epoch >= 0), default=0.0)
    draft = Draft("epoch")
    for epoch, step, row in table:
        values = {column: number(row.get(column, "")) for column in named}
        if epoch is None or not 0 <= epoch < 1e7:
            continue
        whole = step is None or not length or any(v is not None and _whole(c) for c, v in values.items())
        place = epoch + 1 if whole else min((step + 1) / length, epoch + 1)  # type: ignore[operator]
        for column, name in named.items():
            draft.add(name, place, values[column])
    return [draft.curves("lightning_csv")] if draft.points else []


def _whole(column: str) -> bool:
    """Whether a column is logged once an epoch: the mean over it, and what validation gives."""
    return column.endswith("_epoch") or names.series(column).startswith(("val_", "map"))
