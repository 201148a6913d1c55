"""Any other CSV: columns whose names are telling, or that `--columns` names."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Literal

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import LogError, number
from trainworthy_train.diagnosis.logs.tables import header, rows
from trainworthy_train.types import SERIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "a CSV with a column of epochs or steps, or one with --columns"
KNOWN_BY = "a CSV header with epoch, step or iteration, and a loss or a metric"

_STEPS = ("epoch", "step", "steps", "global_step", "iteration", "iterations", "iter")


def sniff(log: Log) -> bool:
    """Whether the header has a column of steps and one that is known."""
    columns = header(log.head)
    return len(columns) > 1 and bool(_steps(columns)) and any(_name(column) for column in columns)


def _steps(columns: list[str]) -> str:
    """The column that counts: epochs rather than steps."""
    found = {column.lower(): column for column in reversed(columns)}
    return next((found[name] for name in _STEPS if name in found), "")


def _name(column: str) -> str:
    """Weights & Biases writes the run before the name: "run-7 - train/loss"."""
    return names.series(column.rpartition(" - ")[2])


def read(log: Log, columns: Mapping[str, str] | None = None) -> list[Curves]:
    """The runs. `columns` says which column is which series: {"loss": "train cost", "step": "it"}.

    Raises `LogError` where a column is not there, or a series is none of ours.
    """
    there = header(log.head)
    wanted = dict(columns or {})
    by_epoch = "epoch" in wanted
    counter = _counter(wanted, there)
    for series, column in wanted.items():
        _check(log, series, column, there)
    named = {column: series for series, column in wanted.items()} or {
        column: name for column in there if column != counter and (name := _name(column))
    }
    unit: Literal["epoch", "iteration"] = (
        "epoch" if by_epoch or "epoch" in (counter or "epoch").lower() else "iteration"
    )
    return _read(log, named, counter, unit)


def _counter(wanted: dict[str, str], there: list[str]) -> str:
    """The column of steps, taken out of what was asked for."""
    for name in ("epoch", "step", "iteration"):
        if name in wanted:
            counter = wanted.pop(name)
            if counter in there:
                return counter
            wanted[name] = counter  # and is complained about with the rest
    return _steps(there)


def _check(log: Log, series: str, column: str, there: list[str]) -> None:
    known = (*SERIES, "epoch", "step", "iteration")
    if series not in known and not re.fullmatch(r"(val_)?loss/\S+", series):
        near = difflib.get_close_matches(series, known, 1)
        raise LogError(
            f"--columns: '{series}' is no series. Known are {', '.join(known)}, and loss/NAME and val_loss/NAME.",
            next_step=f"--columns {near[0]}={column}" if near else "",
        )
    if column not in there:
        near = difflib.get_close_matches(column, there, 1)
        raise LogError(
            f"{log.path} has no column '{column}'. It has: {', '.join(there[:40])}.",
            next_step=f'--columns "{series}={near[0]}"' if near else "",
        )


def _read(log: Log, named: dict[str, str], counter: str, unit: Literal["epoch", "iteration"]) -> list[Curves]:
    table = list(rows(log))
    counts = [number(row.get(counter, "")) for _, row in table] if counter else []
    from_zero = unit == "epoch" and 0 in counts
    runs = Runs(lambda: Draft(unit))
    for place, (_, row) in enumerate(table, 1):
        step = number(row.get(counter, "")) if counter else float(place)
        if step is None or not abs(step) < 1e12:
            continue
        draft = runs.at(step + from_zero)
        for column, name in named.items():
            draft.add(name, step + from_zero, number(row.get(column, "")))
    for draft in runs.drafts:
        draft.note("Read: " + ", ".join(f"{name} from '{column}'" for column, name in named.items()) + ".")
    return runs.curves("plain_csv")
