"""CSV files as columns of text: padded headers, other separators, restarts and cut-off rows."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.log import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.diagnosis.logs.draft import Draft
    from trainworthy_train.diagnosis.logs.log import Log


def header(text: str) -> list[str]:
    """The column names of a CSV file, stripped; fewer than two where it is none."""
    return [cell.strip() for cell in _cells(_first(text), separator(text))]


def separator(text: str) -> str:
    """What separates the columns: the likeliest of comma, semicolon and tab in the first line."""
    return max(",;\t", key=_first(text).count)


def _first(text: str) -> str:
    return next((line for line in text.split("\n") if line.strip()), "")


def rows(log: Log) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with its line number, cells by column; a short row is as short as it is, a repeated header no row."""
    columns = header(log.head)
    mark = separator(log.head)
    for count, line in enumerate(log.sure_lines(mark), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in _cells(line, mark)]
        if cells[: len(columns)] != columns:
            yield count, dict(zip(columns, cells, strict=False))


def _cells(line: str, mark: str) -> list[str]:
    if '"' not in line:  # as nearly all are: splitting is ten times as fast
        return line.split(mark)
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:
        return line.split(mark)


def fill(draft: Draft, step: float, row: dict[str, str], named: dict[str, str]) -> None:
    """Add a row's cells to the run: `named` gives the series of each column."""
    for column, name in named.items():
        draft.add(name, step, number(row.get(column, "")))
