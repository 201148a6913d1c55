"""Which format a log file has, and its runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.endings import final_error, remedy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.diagnosis.logs.shared.format import LogFormat
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def recognize(log: Log, formats: Mapping[str, LogFormat]) -> str:
    """The name of the first format that recognizes the file; "" if none does."""
    tried = (name for name, form in formats.items() if form.binary or not log.binary)
    return next((name for name in tried if formats[name].sniff(log)), "")


def read_runs(log: Log, name: str, form: LogFormat, columns: Mapping[str, str] | None = None) -> list[Curves]:
    """The runs of the log that have any point; the notes of the last say with which error the log ends."""
    runs = form.read_columns(log, columns) if columns and form.read_columns else form.read(log)
    runs = [replace(run, format=name) for run in runs if run.series]
    error = final_error(log) if runs and not form.binary else ""
    if error:
        note = f"The log ends with an error, {error!r}: {remedy(error)}."
        runs[-1] = replace(runs[-1], notes=(*runs[-1].notes, note))
    return runs
