"""One run, a folder; and how runs are created, listed and found."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from trainworthy_audit.source.plain_file import read_plain_file
from trainworthy_train.errors import RunError
from trainworthy_train.runs import locking
from trainworthy_train.runs.log import best_epoch, flatten, latest, read_events
from trainworthy_train.runs.record import upgrade

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    import polars as pl

    from trainworthy_train.runs.log import Event

SCHEMA = "trainworthy.run/1"

#: The schema of the files of weights, best.pt and last.pt.
WEIGHTS_SCHEMA = "trainworthy.weights/1"

#: Where runs lie unless another folder is named, below the current folder.
FOLDER = Path("runs")

LOG, RECORD, TABLE, BEST, LAST, LOCK = "log.jsonl", "run.json", "metrics.csv", "best.pt", "last.pt", "lock"
CERTIFICATE = "certificate.json"

State = Literal["running", "finished", "interrupted", "empty"]


#: A record names the images that are never loaded, 100 bytes each; in bytes.
MAX_RECORD = 2**30


class _Dataset(msgspec.Struct):
    root: str
    classes: list[str]
    images: dict[str, int]
    boxes: dict[str, int] = {}
    golden: str | None = None


class _Certificate(msgspec.Struct):
    file: str
    fingerprint: str


class _Record(msgspec.Struct):
    """What is read of `run.json`."""

    settings: dict[str, Any]
    dataset: _Dataset
    certificate: _Certificate
    waived: list[Any] = []
    never_loaded: dict[str, str] = {}
    notes: list[str] = []
    versions: dict[str, str] = {}


@dataclass(frozen=True)
class Run:
    """One version of a run: its folder, and what is read from there, anew each time."""

    folder: Path

    @property
    def name(self) -> str:
        """'streets:v3', or the folder's path where it is not one of `runs/NAME/vN`."""
        return f"{self.folder.parent.name}:{self.folder.name}" if self.number else str(self.folder)

    @property
    def number(self) -> int:
        """3 for `runs/NAME/v3`; 0 for a folder with another name."""
        versioned = re.fullmatch(r"v[1-9]\d*", self.folder.name) and self.folder.parent.name
        return int(self.folder.name[1:]) if versioned else 0

    def file(self, name: str) -> Path:
        """The path of one of the run's files."""
        return self.folder / name

    def record(self) -> dict[str, Any]:
        """The content of `run.json`, settings by their present names. Raises `RunError`."""
        try:
            record = msgspec.json.decode(read_plain_file(self.file(RECORD), MAX_RECORD))
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"{self.folder} is no run: {RECORD} cannot be read\n  {error}") from error
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise RunError(f'{self.file(RECORD)} is no record of a run\n  Expected "schema": "{SCHEMA}".')
        try:
            msgspec.convert(record, _Record)
        except msgspec.ValidationError as error:
            raise RunError(f"{self.file(RECORD)} is no record of a run\n  {error}") from error
        return upgrade(record)

    def events(self) -> list[Event]:
        """The events of the log in their order; [] where there is no log."""
        return read_events(self.file(LOG))

    def state(self) -> State:
        """Whether a process trains it now ("running"), it ended, was cut off, or nothing was logged ("empty")."""
        if locking.is_locked(self.file(LOCK)):
            return "running"
        last = next((event for event in reversed(self.events()) if event["event"] != "finding"), None)
        if last is None:
            return "empty"
        ended = last["event"] == "end" and last.get("why") != "interrupted"
        return "finished" if ended else "interrupted"

    @property
    def epochs(self) -> pl.DataFrame:
        """One row an epoch, columns as in `metrics.csv`: "epoch", "step", "loss", "val_loss", "map50", "map", ...

        Losses as the detector computes them, mAP, precision, recall and IoU 0..1, "lr" the learning rate of the last
        step, "seconds" since the run began. Values that were not finite are null.
        """
        import polars as pl

        rows = [flatten(row) for row in latest(self.events(), "epoch")]
        return pl.DataFrame(rows, infer_schema_length=None)

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The event of the epoch with the best validation mAP@50; None where there is none."""
        return best_epoch(latest(self.events(), "epoch"))

    def locked(self) -> AbstractContextManager[None]:
        """A context in which this process alone may write the run. Raises `RunError` where another one holds it."""
        return locking.locked(self.file(LOCK), self.name)


def create(place: Path) -> Run:
    """Create the next version below `place`, `runs/NAME`: v1, v2, ... Raises `RunError`."""
    for _ in range(1000):
        number = max((run.number for run in versions(place)), default=0) + 1
        folder = place / f"v{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # another process was faster
            continue
        except OSError as error:
            raise RunError(f"cannot create the run's folder {folder}: {error.strerror or error}") from error
        return Run(folder)
    raise RunError(f"cannot create another version below {place}")


def create_at(folder: Path) -> Run:
    """Create a run in `folder` itself (`--out`), which must be new or empty. Raises `RunError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise RunError(f"cannot create the run's folder {folder}: {error.strerror or error}") from error
    if LOG in content:
        raise RunError(
            f"{folder} holds a run already\n  A run is never written over.",
            next_step="add --resume to go on with it, or choose another folder: --out DIR",
        )
    if content:
        raise RunError(
            f"{folder} is not empty: {', '.join(content[:3])}\n  A run needs a folder of its own: --out DIR"
        )
    return Run(folder)


def discard(run: Run) -> None:
    """Remove a run that never began, so that it is not the newest version; a run that has a log is left alone."""
    if run.file(LOG).exists():
        return
    for name in (RECORD, CERTIFICATE, LOCK):
        run.file(name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        run.folder.rmdir()


def versions(place: Path) -> list[Run]:
    """The versions below `runs/NAME`, oldest first."""
    try:
        entries = [Run(entry) for entry in place.iterdir() if entry.is_dir()]
    except OSError:
        return []
    return sorted((run for run in entries if run.number), key=lambda run: run.number)


def list_runs(folder: Path = FOLDER) -> list[Run]:
    """All runs below `folder`, by name and version."""
    try:
        names = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [run for name in names for run in versions(name)]


def find(written: str, folder: Path = FOLDER) -> Run:
    """The run that NAME, NAME:vN, NAME/vN or a path names; of NAME the newest version. Raises `RunError`."""
    direct = Path(written)
    for place in (direct, folder / written):
        if (place / LOG).is_file() or (place / RECORD).is_file():
            return Run(place)
    name, _, version = written.partition(":")
    candidates = versions(folder / name) if name and "/" not in name else versions(direct)
    if not candidates:
        names = ", ".join(dict.fromkeys(run.folder.parent.name for run in list_runs(folder)))
        raise RunError(
            f"no run {written!r} in {folder}/\n  There are: {names or 'none'}.", next_step="trainworthy runs"
        )
    if not version:
        return candidates[-1]
    for run in candidates:
        if run.folder.name in {version, f"v{version}"}:
            return run
    raise RunError(
        f"no version {version!r} of {name}\n  There are: {', '.join(run.folder.name for run in candidates)}.",
        next_step="trainworthy runs",
    )
