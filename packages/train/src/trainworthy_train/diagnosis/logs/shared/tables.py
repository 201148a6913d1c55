"""CSV files as columns of text: padded headers, other separators, restarts and cut-off rows."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.log import number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder
    from trainworthy_train.diagnosis.logs.shared.log import Log


#: A number as spreadsheets of many countries write it, which then separate columns by semicolons.
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*")


def header(text: str) -> list[str]:
    """The column names of a CSV file, stripped; fewer than two if it is not a CSV."""
    return [cell.strip() for cell in _cells(_first_line(text), separator(text))]


def separator(text: str) -> str:
    """The column separator: the most frequent of comma, semicolon and tab in the first line."""
    return max(",;\t", key=_first_line(text).count)


def _first_line(text: str) -> str:
    return next((line for line in text.split("\n") if line.strip()), "")


def rows(log: Log) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's line number and cells by column. A short row lacks columns; a repeated header is not a row.

    Decimal commas become points, where commas do not separate the columns.
    """
    columns = header(log.head)
    mark = separator(log.head)
    for number_, line in enumerate(log.complete_lines(mark), 1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in _cells(line, mark)]
        if mark != "," and "," in line:
            cells = [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells]
        if cells[: len(columns)] != columns:
            yield number_, dict(zip(columns, cells, strict=False))


def _cells(line: str, mark: str) -> list[str]:
    if '"' not in line:  # as in nearly all lines: splitting is ten times as fast
        return line.split(mark)
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:
        return line.split(mark)


def add_row(run: CurvesBuilder, step: float, row: dict[str, str], series: dict[str, str]) -> None:
    """Add a row's cells to the run: `series` gives the name of the series of each column."""
    for column, name in series.items():
        run.add(name, step, number(row.get(column, "")))
