"""The log of a run that is going on, read again whenever it changed; and how the log of a command is found."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis import logs
from trainworthy_train.diagnosis.features import logged_map
from trainworthy_train.diagnosis.logs.shared.format import TEXT_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainworthy_train.types import Curves

#: Folders that hold no log of a run, and may be large.
SKIPPED = frozenset({"site-packages", "node_modules", "__pycache__", "wandb"})

#: How far below a folder logs are looked for, and how many entries are looked at.
DEPTH, ENTRIES = 5, 20_000

#: What TensorBoard's files are called.
EVENTS = "events.out.tfevents"

Stamp = tuple[tuple[str, int, int], ...]


class LogFollower:
    """A log that somebody else writes: a file, or a folder. It need not be there yet."""

    def __init__(self, log: Path, columns: Mapping[str, str] | None = None) -> None:
        self.log, self._columns = log, columns
        self._stamp: Stamp = ()
        self.problem = (
            f"{log} does not exist"  # why nothing was read, at the last look; "" where something was
        )
        self.curves: list[Curves] = []

    def look(self) -> bool:
        """Read the log if it changed since the last look; returns whether there are curves that may be new.

        What is half written, a row or a file, is left for the next look.
        """
        stamp = _stamp(self.log)
        if stamp == self._stamp:
            return False
        self._stamp = stamp  # of before reading: what is written meanwhile is read at the next look
        try:
            self.curves = logs.read(self.log, self._columns)
        except logs.LogError as error:
            self.problem = str(error)
            return False
        self.problem = ""
        return True


class LogFinder:
    """The log of a command: of its console and all logs that are written below `folder` since it began, the fullest."""

    def __init__(self, console: Path, folder: Path, began: float, excluded: tuple[Path, ...]) -> None:
        self._folder, self._began = folder, began
        self._excluded = frozenset(place.resolve() for place in excluded)
        self._followers = {console: LogFollower(console)}
        self.problem = ""
        self.log = console
        self.curves: list[Curves] = []

    def look(self) -> bool:
        """As that of a follower; `log` is the one whose curves are given."""
        for log in self._new_logs():
            self._followers.setdefault(log, LogFollower(log))
        changed = [one.look() for one in self._followers.values()]
        fullest = max(self._followers.values(), key=lambda one: _fullness(one.curves))
        self.log, self.curves, self.problem = fullest.log, fullest.curves, fullest.problem
        return any(changed) and bool(self.curves)

    def _new_logs(self) -> Iterator[Path]:
        """Files below the folder that were written since the command began and may be logs."""
        for file in itertools.islice(self._walk(self._folder, DEPTH), ENTRIES):
            is_events = file.name.startswith(EVENTS)
            if not is_events and Path(file.name).suffix.lower() not in TEXT_SUFFIXES:
                continue
            if file.stat().st_mtime >= self._began:
                yield Path(file.path).parent if is_events else Path(file.path)

    def _walk(self, folder: Path, depth: int) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return
        for entry in listed:
            if entry.is_file(follow_symlinks=False):
                yield entry
            elif depth and entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                inner = Path(entry.path)
                if entry.name not in SKIPPED and inner.resolve() not in self._excluded:
                    yield from self._walk(inner, depth - 1)


def _fullness(curves: list[Curves]) -> tuple[int, int]:
    """How much a log says: its evaluations, then all of its points."""
    measured = [len(run.series[name].step) for run in curves if (name := logged_map(run))]
    points = sum(len(series.step) for run in curves for series in run.series.values())
    return max(measured, default=0), points


def _stamp(log: Path) -> Stamp:
    """(name, size, time of change) of each file of a log, by which a change is seen."""
    files = [log] if not log.is_dir() else sorted(itertools.islice(log.rglob("*"), ENTRIES))
    found = []
    for file in files:
        try:
            info = file.stat()
        except OSError:
            continue
        found.append((str(file), info.st_size, info.st_mtime_ns))
    return tuple(found)
