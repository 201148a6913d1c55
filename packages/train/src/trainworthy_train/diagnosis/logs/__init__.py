"""Training logs, one file per format. A file here that makes a `FORMAT` is a log format: there is no list to keep.

What a format consists of is in `shared/format.py`, and what readers share is in `shared/`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared import folders, recognition, refusal
from trainworthy_train.diagnosis.logs.shared import pattern as pattern_reader
from trainworthy_train.diagnosis.logs.shared.log import Log, LogError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.diagnosis.logs.shared.format import LogFormat
    from trainworthy_train.types import Curves

__all__ = ["LogError", "catalogue", "read"]


@functools.cache
def catalogue() -> Mapping[str, LogFormat]:
    """Every log format by its name, in the order in which they are tried."""
    found: list[tuple[int, str, LogFormat]] = []
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(loaded, "FORMAT"):
            found.append((loaded.FORMAT.order, module.name, loaded.FORMAT))
    return {name: form for _, name, form in sorted(found, key=lambda one: one[:2])}


def read(
    path: Path | str, columns: Mapping[str, str] | None = None, pattern: str | None = None
) -> list[Curves]:
    r"""The runs of a log: a file, or a folder such as a run's or a TensorBoard log directory.

    `columns` says which column of a table holds which series: {"loss": "train cost", "map50": "ap", "epoch": "ep"}.
    `pattern` is a regular expression that finds series in lines: `epoch (?P<epoch>\d+).*ap (?P<map50>\S+)`.
    Raises `LogError` if there is no curve: it says what was looked at and what to give instead.
    """
    path = Path(path)
    try:
        return folders.read(path, catalogue()) if path.is_dir() else _read_file(path, columns, pattern)
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_file(path: Path, columns: Mapping[str, str] | None, pattern: str | None) -> list[Curves]:
    if not path.is_file():
        raise refusal.not_a_file(path)
    log = Log(path)
    formats = catalogue()
    if pattern:
        return _by_pattern(log, pattern)
    if columns and not log.binary:
        name = next(name for name, form in formats.items() if form.read_columns)
    else:
        name = recognition.recognize(log, formats)
        columns = None
    if not name:
        raise refusal.unknown_format(log)
    runs = recognition.read_runs(log, name, formats[name], columns)
    if not runs:
        raise refusal.no_points(log, formats[name].title)
    return runs


def _by_pattern(log: Log, expression: str) -> list[Curves]:
    """The runs that a user's expression finds. Raises `LogError` where it matches nothing."""
    runs = pattern_reader.read(log, expression)
    if not runs:
        raise LogError(
            f"{log.path} has no line in which --pattern finds a number of a series.",
            next_step=f"grep -m 3 -n loss {shlex.quote(str(log.path))}",
        )
    return [replace(run, format="pattern") for run in runs]
