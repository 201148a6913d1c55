"""Runs: folders `runs/NAME/vN`, each with an append-only log, its settings and its weights.

    log.jsonl         what happened, one JSON object a line; nothing in it is ever changed
    run.json          the record: settings, certificate, waived findings, versions, hardware
    metrics.csv       one row an epoch, made anew from the log
    best.pt, last.pt  the weights with the best mAP; everything that resuming needs
    lock              held by the process that trains

What is written whole (record, table, checkpoints) is written beside its place first and renamed, so that a reader,
or whoever resumes after a crash, finds the old or the new one. Of the log only the last line can be torn; it is
passed over.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trainworthy_train.errors import RunError
from trainworthy_train.types import Curves, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCHEMA = "trainworthy.run/1"

#: What a file of weights calls itself.
WEIGHTS = "trainworthy.weights/1"

#: Where runs lie unless told otherwise, below the current folder.
FOLDER = Path("runs")

LOG, RECORD, TABLE, BEST, LAST, LOCK = "log.jsonl", "run.json", "metrics.csv", "best.pt", "last.pt", "lock"
CERTIFICATE = "certificate.json"

#: What a process that was killed while it wrote may leave beside a file.
TEMPORARY = ".trainworthy-"

#: Series of `Curves` that stand in the lines of epochs under their own names.
EPOCH_SERIES = (
    "loss", "val_loss", "map50", "map", "precision", "recall", "iou", "lr",
    "map50_any_class", "map50_train", "map50_golden",
)  # fmt: skip

State = Literal["running", "finished", "interrupted", "empty"]

Event = dict[str, Any]


# ------------------------------------------------------------------------------------------------------------
# Finding and making


@dataclass(frozen=True)
class Run:
    """One version of a run."""

    folder: Path

    @property
    def name(self) -> str:
        """'streets:v3', or the folder where it is not one of `runs/NAME/vN`."""
        if re.fullmatch(r"v[1-9]\d*", self.folder.name) and self.folder.parent.name:
            return f"{self.folder.parent.name}:{self.folder.name}"
        return str(self.folder)

    @property
    def number(self) -> int:
        """3 for v3; 0 where the folder is not called so."""
        return int(self.folder.name[1:]) if re.fullmatch(r"v[1-9]\d*", self.folder.name) else 0

    def file(self, name: str) -> Path:
        """The path of one of the run's files."""
        return self.folder / name

    def record(self) -> dict[str, Any]:
        """What `run.json` says. Raises `RunError`."""
        try:
            found = json.loads(self.file(RECORD).read_bytes())
        except (OSError, ValueError) as error:
            raise RunError(f"{self.folder} is no run: {RECORD} cannot be read\n  {error}") from error
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise RunError(f'{self.file(RECORD)} is no record of a run\n  Expected "schema": "{SCHEMA}".')
        return found

    def state(self) -> State:
        """Whether it runs now, came to its end, or was cut off."""
        if _held(self.file(LOCK)):
            return "running"
        last = next((event for event in reversed(events(self.folder)) if event["event"] != "finding"), None)
        if last is None:
            return "empty"
        ended = last["event"] == "end" and last.get("why") != "interrupted"
        return "finished" if ended else "interrupted"


def new(place: Path) -> Run:
    """Make the next version below `place`, `runs/NAME`: v1, v2, ... Raises `RunError`."""
    for _ in range(1000):
        number = max((run.number for run in versions(place)), default=0) + 1
        folder = place / f"v{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # somebody else was faster
            continue
        except OSError as error:
            raise RunError(f"cannot make the run's folder {folder}: {error.strerror or error}") from error
        return Run(folder)
    raise RunError(f"cannot make another version below {place}")


def at(folder: Path) -> Run:
    """A run in a folder of its own, `--out`, which must be new or empty. Raises `RunError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = sorted(found.name for found in folder.iterdir())
    except OSError as error:
        raise RunError(f"cannot make the run's folder {folder}: {error.strerror or error}") from error
    if held:
        if LOG in held:
            raise RunError(
                f"{folder} holds a run already\n  A run is never written over.",
                next_step="add --resume to go on with it, or choose another folder: --out DIR",
            )
        raise RunError(
            f"{folder} is not empty: {', '.join(held[:3])}\n  A run wants a folder of its own: --out DIR"
        )
    return Run(folder)


def versions(place: Path) -> list[Run]:
    """The versions below `runs/NAME`, oldest first."""
    try:
        found = [Run(entry) for entry in place.iterdir() if entry.is_dir()]
    except OSError:
        return []
    return sorted((run for run in found if run.number), key=lambda run: run.number)


def every(folder: Path = FOLDER) -> list[Run]:
    """All runs below `runs`, by name and version."""
    try:
        names = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [run for name in names for run in versions(name)]


def find(written: str, folder: Path = FOLDER) -> Run:
    """The run that NAME, NAME:vN, NAME/vN or a path means; the newest version where none is said. Raises `RunError`."""
    direct = Path(written)
    for place in (direct, folder / written):
        if (place / LOG).is_file() or (place / RECORD).is_file():
            return Run(place)
    name, _, version = written.partition(":")
    place = folder / name
    found = versions(place) if name and "/" not in name else versions(direct)
    if not found:
        known = ", ".join(dict.fromkeys(run.folder.parent.name for run in every(folder)))
        raise RunError(
            f"no run {written!r} in {folder}/\n  There are: {known or 'none'}.", next_step="trainworthy runs"
        )
    if not version:
        return found[-1]
    for run in found:
        if run.folder.name in {version, f"v{version}"}:
            return run
    raise RunError(
        f"no version {version!r} of {name}\n  There are: {', '.join(run.folder.name for run in found)}.",
        next_step="trainworthy runs",
    )


# ------------------------------------------------------------------------------------------------------------
# One process at a time


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """Keep the run for this process until it ends, however it ends. Raises `RunError` where another has it."""
    handle = os.open(run.file(LOCK), os.O_RDWR | os.O_CREAT, 0o644)
    _held_here.add(handle)
    try:
        if not _try_lock(handle):
            raise RunError(
                f"{run.name} is being trained by another process: {_holder(run.file(LOCK))}\n"
                "  Two trainings cannot write one run.",
                next_step="trainworthy runs",
            )
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid(), "host": os.uname().nodename}).encode())
        yield
    finally:
        _held_here.discard(handle)
        os.close(handle)  # which gives the lock back; so does the end of the process


#: Locks of this process. Processes that load images are forked from it, and must not keep them when it is killed.
_held_here: set[int] = set()


def _let_go() -> None:
    for handle in _held_here:
        os.close(handle)
    _held_here.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _try_lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: no such locks; the record of who trains is all there is
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _held(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def _holder(lock: Path) -> str:
    try:
        found = json.loads(lock.read_bytes())
        return f"process {found['pid']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it does not say which"


# ------------------------------------------------------------------------------------------------------------
# Writing


def replace(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, and so that it survives a power cut. Raises `OSError`."""
    temporary = file.with_name(f".{file.name}{TEMPORARY}{os.getpid()}")
    try:
        with temporary.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(file)
        _sync_folder(file.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last; where the system cannot, it is as good as it gets."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(run: Run) -> None:
    """Remove what a killed process left half-written. Only for whoever holds the lock."""
    for left in run.folder.glob(f".*{TEMPORARY}*"):
        left.unlink(missing_ok=True)


def discard(run: Run) -> None:
    """Remove a run that never began, so that it is not the newest version; one that has a log is left alone."""
    if run.file(LOG).exists():
        return
    for name in (RECORD, CERTIFICATE, LOCK):
        run.file(name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        run.folder.rmdir()


class Log:
    """Appends to a run's log, line by line; each is in the system's hands before `add` returns."""

    def __init__(self, run: Run) -> None:
        file = run.file(LOG)
        torn = file.exists() and not _ends_well(file)
        self._handle = file.open("ab", buffering=0)
        if torn:  # the line that was being written when the process was killed
            self._handle.write(b"\n")

    def add(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever the event has
        """Append one event. What is not finite becomes null, and is named in "nan". Raises `OSError`."""
        missing: list[str] = []
        body = {key: _finite(value, key, missing) for key, value in fields.items()}
        line = {"event": event} | body | ({"nan": missing} if missing else {})
        self._handle.write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def _ends_well(file: Path) -> bool:
    with file.open("rb") as handle:
        if handle.seek(0, os.SEEK_END) == 0:
            return True
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


def _finite(value: Any, key: str, missing: list[str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float) and not math.isfinite(value):
        missing.append(key)
        return None
    if isinstance(value, dict):
        return {str(name): _finite(part, f"{key}/{name}", missing) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part, key, missing) for part in value]
    return value


def table(rows: Sequence[Event]) -> str:
    """The epochs as CSV: one column a number, parts and labels spelled "val_parts/box", "labels/cat/map50"."""
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    made = io.StringIO()
    writer = csv.DictWriter(made, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return made.getvalue()


def _flat(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key in {"event", "nan"}:
            continue
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{key}/")
        else:
            found[before + key] = "" if value is None else value
    return found


# ------------------------------------------------------------------------------------------------------------
# Reading


def events(folder: Path) -> list[Event]:
    """The lines of a run's log in their order; a torn one is passed over. [] where there is no log."""
    found = []
    with contextlib.suppress(FileNotFoundError), (folder / LOG).open("rb") as handle:
        for line in handle:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                found.append(event)
    return found


def settled(log: Sequence[Event], kind: Literal["step", "epoch"]) -> list[Event]:
    """The steps or epochs of a log, rising; of one that was done again after a resume, the later line counts."""
    return [
        event for _, event in sorted({event[kind]: event for event in log if event["event"] == kind}.items())
    ]


def curves(log: Sequence[Event], *, name: str = "") -> Curves:
    """What the log's epochs tell."""
    rows = settled(log, "epoch")
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        told = {key: row[key] for key in EPOCH_SERIES if key in row}
        told |= {f"loss/{key}": value for key, value in row.get("parts", {}).items()}
        told |= {f"val_loss/{key}": value for key, value in row.get("val_parts", {}).items()}
        for key, value in told.items():
            points.setdefault(key, []).append((row["epoch"], math.nan if value is None else value))
    session = next((event for event in log if event["event"] == "session"), {})
    return Curves(
        series={key: _series(found) for key, found in points.items()},
        unit="epoch",
        name=name,
        format="trainworthy",
        planned=session.get("planned_epochs"),
        facts={"pretrained": session["pretrained"]} if "pretrained" in session else {},
    )


def _series(points: Sequence[tuple[float, float]]) -> Series:
    import numpy as np

    steps, values = np.array(points, dtype=np.float64).T
    return Series(steps, values)


def best(rows: Sequence[Event]) -> Event | None:
    """The epoch with the best mAP@50, the earliest of equals; None where none has any."""
    known = [row for row in rows if (score := row.get("map50")) is not None and not math.isnan(score)]
    return max(known, key=lambda row: row["map50"], default=None)


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
