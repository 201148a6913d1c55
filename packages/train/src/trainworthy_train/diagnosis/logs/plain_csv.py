"""Any other CSV: columns whose names are known, or that `--columns` names."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Literal

from trainworthy_train.diagnosis.logs.shared.builder import RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import LogError, number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.diagnosis.logs.shared.tables import add_row, header, rows
from trainworthy_train.types import SERIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

    Unit = Literal["epoch", "iteration"]

#: What `--columns` calls the column of steps.
_STEP_NAMES = ("epoch", "step", "iteration")

#: Names of columns of steps, the first that is there counts.
_STEPS = ("epoch", "step", "steps", "global_step", "iteration", "iterations", "iter")


def sniff(log: Log) -> bool:
    """Whether the header has a column of steps and one that is known."""
    columns = header(log.head)
    return len(columns) > 1 and bool(_step_column(columns)) and any(_name(column) for column in columns)


def _step_column(columns: list[str]) -> str:
    """The column of epochs, or else of steps; "" if there is none."""
    by_name = {column.lower(): column for column in reversed(columns)}
    return next((by_name[name] for name in _STEPS if name in by_name), "")


def _name(column: str) -> str:
    """The series of a column. Weights & Biases puts the run before the name: "run-7 - train/loss"."""
    return series_name(column.rpartition(" - ")[2])


def read(log: Log) -> list[Curves]:
    """The runs, of the columns whose names are known."""
    columns = header(log.head)
    step_column = _step_column(columns)
    series = {column: name for column in columns if column != step_column and (name := _name(column))}
    return _read(log, series, step_column, _unit(step_column))


def _read_columns(log: Log, chosen: Mapping[str, str]) -> list[Curves]:
    """The runs, of the columns that the user chose: {"loss": "train cost", "step": "it"}.

    Raises `LogError` if there is no such column or no such series.
    """
    columns = header(log.head)
    steps = [name for name in _STEP_NAMES if chosen.get(name) in columns]
    step_column = chosen[steps[0]] if steps else _step_column(columns)
    series = {name: column for name, column in chosen.items() if name not in steps[:1]}
    for name, column in series.items():
        _check(log, name, column, columns)
    unit: Unit = "epoch" if "epoch" in chosen else _unit(step_column)
    return _read(log, {column: name for name, column in series.items()}, step_column, unit)


def _unit(step_column: str) -> Unit:
    """What the column counts; rows, which are counted where there is none, are taken for epochs."""
    return "epoch" if not step_column or "epoch" in step_column.lower() else "iteration"


def _check(log: Log, series: str, column: str, columns: list[str]) -> None:
    """Raise `LogError` if the user's series or column does not exist."""
    known = (*SERIES, *_STEP_NAMES)
    if series not in known and not re.fullmatch(r"(val_)?loss/\S+", series):
        near = difflib.get_close_matches(series, known, 1)
        raise LogError(
            f"--columns: '{series}' is not a series. Known are {', '.join(known)}, and loss/NAME and val_loss/NAME.",
            next_step=f"--columns {near[0]}={column}" if near else "",
        )
    if column not in columns:
        near = difflib.get_close_matches(column, columns, 1)
        raise LogError(
            f"{log.path} has no column '{column}'. It has: {', '.join(columns[:40])}.",
            next_step=f'--columns "{series}={near[0]}"' if near else "",
        )


def _read(log: Log, series: dict[str, str], step_column: str, unit: Unit) -> list[Curves]:
    """The runs; `series` gives the name of the series of each column."""
    table = list(rows(log))
    steps = [number(row.get(step_column, "")) for _, row in table] if step_column else []
    from_zero = unit == "epoch" and 0 in steps
    runs = RunSplitter(unit)
    for count, (_, row) in enumerate(table, 1):
        step = number(row.get(step_column, "")) if step_column else float(count)
        if step is not None and abs(step) < 1e12:
            add_row(runs.at(step + from_zero), step + from_zero, row, series)
    for run in runs:
        run.note("Read: " + ", ".join(f"{name} from '{column}'" for column, name in series.items()) + ".")
    return runs.curves()


FORMAT = LogFormat(
    title="any other CSV with a column of epochs or steps, or with --columns",
    recognized_by="a CSV header with `epoch`, `step` or `iteration`, and a loss or a metric",
    contains="columns whose names are known, or those named with `--columns`",
    order=100,
    sniff=sniff,
    read=read,
    read_columns=_read_columns,
)
