"""What a file in `diagnosis/logs/` makes to add a log format: a `FORMAT`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

#: Suffixes that logs have in folders of runs.
TEXT_SUFFIXES = frozenset({"", ".csv", ".json", ".jsonl", ".log", ".out", ".txt"})


@dataclass(frozen=True)
class ManyFiles:
    """How a format that spreads one run over several files stands in a folder."""

    pattern: str  # which files of a folder belong to it, as a glob
    subfolders: frozenset[
        str
    ]  # lower-case names of folders whose files belong to the run of the folder above
    read: Callable[[Sequence[Path], str], list[Curves]]  # (its files, the run's name) -> its runs


@dataclass(frozen=True, kw_only=True)
class LogFormat:
    """How the logs of a trainer are recognized and read. Its name is that of its file."""

    title: str  # what messages, `--help` and docs/logs.md call it: "darknet console output"
    recognized_by: str  # for docs/logs.md, in Markdown
    contains: str  # what is read from it, for docs/logs.md
    not_read: str = ""  # what it holds beside that, for docs/logs.md

    #: The formats are tried from the lowest to the highest, and the first that recognizes a file reads it: what is
    #: specific comes before what is general, and files that trainers write before their console output. Of a folder
    #: with logs of several formats, those of the first are read: one run has the same curves in several files.
    order: int

    #: Whether the file is of this format. It sees the head of the file; its name does not count.
    sniff: Callable[[Log], bool]

    #: The runs of the file, each with the points that it has; none where it has no point. Steps rise and epochs count
    #: from 1. Raises `LogError`. `shared/builder.py` does what most readers need.
    read: Callable[[Log], list[Curves]]

    binary: bool = False  # whether its files are not text
    many_files: ManyFiles | None = None  # where a run is spread over several files

    #: Reads any table whose columns the user named with `--columns`: {series: column}.
    read_columns: Callable[[Log, Mapping[str, str]], list[Curves]] | None = None

    #: The prefix of folders beside one another whose logs each repeat those before: only the last is read.
    repeating_folders: str = ""
