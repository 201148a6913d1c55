"""The runs of a folder: of its own logs, else of the folders in it."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared import recognition, refusal
from trainworthy_train.diagnosis.logs.shared.format import TEXT_SUFFIXES
from trainworthy_train.diagnosis.logs.shared.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from trainworthy_train.diagnosis.logs.shared.format import LogFormat
    from trainworthy_train.types import Curves

    Formats = Mapping[str, LogFormat]

#: How many levels of folders below the given one are searched.
DEPTH = 3

#: How many entries of a folder are looked at: a folder of images holds no log.
MAX_ENTRIES = 2000


def read(folder: Path, formats: Formats) -> list[Curves]:
    """The runs of a folder, each named by where it is in it. Raises `LogError` if it has none."""
    runs = list(_search(folder, "", DEPTH, formats))
    if runs:
        return runs
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix.lower() in TEXT_SUFFIXES:
            log = Log(file)
            if name := recognition.recognize(log, formats):
                raise refusal.no_points(log, formats[name].title)
    entries = refusal.shorten(", ".join(sorted(entry.name for entry in folder.iterdir())))
    raise refusal.not_a_log(
        f"{folder} has no known training log, down to {DEPTH} folders below: it holds {entries or 'no files'}."
    )


def _search(folder: Path, name: str, depth: int, formats: Formats) -> Iterator[Curves]:
    """The runs of a folder; those of the folders in it only where it has none itself."""
    with os.scandir(folder) as entries:
        listed = sorted(itertools.islice(entries, MAX_ENTRIES), key=lambda entry: _natural(entry.name))
    files = [Path(entry) for entry in listed if entry.is_file()]
    folders = [Path(entry) for entry in listed if entry.is_dir()]
    own = _single_files(files, name, formats) or _spread_over_files(folder, files, folders, name, formats)
    if own or not depth:
        yield from own
        return
    folders = [inner for inner in folders if not inner.name.startswith(".")]
    for inner in _without_repeats(folders, formats):
        yield from _search(inner, f"{name}/{inner.name}".strip("/"), depth - 1, formats)


def _single_files(files: Sequence[Path], name: str, formats: Formats) -> list[Curves]:
    """The runs of the files of one format, the first of which the folder has a file with points."""
    spread = [form.many_files.pattern for form in formats.values() if form.many_files]
    logs = [
        Log(file)
        for file in files
        if file.suffix.lower() in TEXT_SUFFIXES and not any(file.match(pattern) for pattern in spread)
    ]
    recognized = [(log, recognition.recognize(log, formats)) for log in logs]
    for wanted, form in formats.items():
        if form.many_files:
            continue
        runs = [
            (log, run)
            for log, format_name in recognized
            if format_name == wanted
            for run in recognition.read_runs(log, wanted, form)
        ]
        several = len({log.path for log, _ in runs}) > 1
        if runs:
            return [
                replace(run, name=" ".join(filter(None, (name, log.path.name if several else "", run.name))))
                for log, run in runs
            ]
    return []


def _spread_over_files(
    folder: Path, files: Sequence[Path], folders: Sequence[Path], name: str, formats: Formats
) -> list[Curves]:
    """The runs of the first format that spreads a run over the files here and in certain folders."""
    for format_name, form in formats.items():
        if form.many_files is None:
            continue
        own = [file for file in files if file.match(form.many_files.pattern)]
        for inner in folders:
            if inner.name.lower() in form.many_files.subfolders:
                own += sorted((folder / inner.name).glob(form.many_files.pattern))
        runs = form.many_files.read(own, name) if own else []
        if runs:
            return [replace(run, format=format_name) for run in runs]
    return []


def _without_repeats(folders: Sequence[Path], formats: Formats) -> list[Path]:
    """The folders, without those whose logs are repeated in the next one."""
    prefixes = tuple(form.repeating_folders for form in formats.values() if form.repeating_folders)
    repeating = [folder for folder in folders if prefixes and folder.name.startswith(prefixes)]
    return [folder for folder in folders if folder not in repeating[:-1]]


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that puts v2 before v10."""
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    letters = "".join("0" if c.isdigit() else c for c in name)
    return [(0, letters), *((int(part), "") for part in digits if len(part) < 10)]
