"""Training logs, one file a format, and the choice between them: `read`."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import (
    darknet,
    detectron2,
    detectron2_text,
    detr,
    endings,
    huggingface,
    lightning_csv,
    mmdetection,
    mmdetection_text,
    plain_csv,
    tensorboard,
    torchvision_console,
    trainworthy,
    ultralytics_console,
    ultralytics_csv,
    yolov5_csv,
    yolov5_txt,
    yolox,
)
from trainworthy_train.diagnosis.logs.log import Log, LogError
from trainworthy_train.diagnosis.logs.tables import header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

    from trainworthy_train.types import Curves

__all__ = ["FORMATS", "LogError", "read"]

#: Each has `TITLE`, `KNOWN_BY`, `sniff(log) -> bool` and `read(log) -> list[Curves]`. The first that fits reads: what
#: is particular stands before what is general, and files of a run before its console output.
FORMATS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        trainworthy,
        tensorboard,
        huggingface,
        mmdetection,
        detectron2,
        detr,
        ultralytics_csv,
        yolov5_csv,
        lightning_csv,
        plain_csv,
        yolov5_txt,
        mmdetection_text,
        detectron2_text,
        yolox,
        darknet,
        torchvision_console,
        ultralytics_console,
    )
}

#: What a folder is searched for, in this order: a run has the same curve in several files, and one is enough.
_IN_FOLDERS = tuple(name for name in FORMATS if name != "tensorboard")

_ENDINGS = {"", ".csv", ".json", ".jsonl", ".log", ".out", ".txt"}
_DEEP = 3  # folders below the one that was given
_MANY = 2000  # entries of a folder; a folder of images is no log


def read(path: Path | str, columns: Mapping[str, str] | None = None) -> list[Curves]:
    """The runs of a log: a file, or a folder such as a run's or a TensorBoard log directory.

    `columns` names the columns of a CSV that no format knows: {"loss": "train cost", "map50": "ap", "epoch": "ep"}.
    Raises `LogError` where there is no curve: it says what was looked at and which formats are known.
    """
    path = Path(path)
    try:
        return _folder(path) if path.is_dir() else _file(path, columns)
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror or error}") from error


def _file(path: Path, columns: Mapping[str, str] | None) -> list[Curves]:
    if not path.exists():
        raise LogError(f"{path} does not exist.", next_step=f"ls {shlex.quote(str(path.parent))}")
    if not path.is_file():
        raise _unread(f"{path} is neither a file nor a folder.")
    log = Log(path)
    name = "plain_csv" if columns and not log.binary else _format(log)
    if not name:
        raise _unknown(log)
    found = _points(log, name, columns)
    if not found:
        raise _pointless(log, FORMATS[name].TITLE)
    return found


def _points(log: Log, name: str, columns: Mapping[str, str] | None = None) -> list[Curves]:
    """The runs of the log that have any point; the last one's notes say with which error the log ends."""
    read_all: list[Curves] = plain_csv.read(log, columns) if columns else FORMATS[name].read(log)
    found = [curves for curves in read_all if curves.series]
    error = endings.error(log) if found and name != "tensorboard" else ""
    if error:
        told = f"The log ends with an error, {error!r}: {endings.remedy(error)}."
        found[-1] = replace(found[-1], notes=(*found[-1].notes, told))
    return found


def _pointless(log: Log, title: str) -> LogError:
    """Why there is nothing to diagnose in a log of a known format."""
    looks = f"{log.path} looks like {title}, but no point of a curve is in it"
    if error := endings.error(log):
        return LogError(f"{looks}: it ends with an error, {error!r}.", next_step=endings.remedy(error))
    return LogError(
        f"{looks}: the run ended before its first line of results, or the file is cut off.",
        next_step="let the run complete an epoch; if it has ended, the last lines that its trainer printed say why",
    )


def _format(log: Log) -> str:
    if log.binary:
        return "tensorboard" if tensorboard.sniff(log) else ""
    return next((name for name, module in FORMATS.items() if module.sniff(log)), "")


def _unknown(log: Log) -> LogError:
    """What stands in the file, and what is known."""
    if not log.head_bytes:
        folder = shlex.quote(str(log.path.parent))
        return LogError(
            f"{log.path} is empty: nothing has been written to it, or not yet. The folder "
            "of the run may hold another log.",
            next_step=f"trainworthy diagnose {folder}",
        )
    if log.binary:
        return _no_text(log)
    columns = header(log.head)
    if len(columns) > 2 and "{" not in columns[0]:
        return LogError(
            f"{log.path} is a table with the columns {_short(', '.join(columns))}: none of epochs or steps has a "
            "loss or a metric beside it that is known by its name.",
            next_step=f"trainworthy diagnose {shlex.quote(str(log.path))} "
            "--columns epoch=COLUMN,loss=COLUMN,map50=COLUMN",
        )
    begins = next((line for line in log.head.split("\n") if line.strip()), "")
    return _unread(
        f"{log.path} is no training log that is known: it begins with '{_short(begins.strip(), 80)}'."
    )


#: How what is packed is unpacked.
_UNPACK = {
    "gzip": "gzip -dc",
    "xz": "xz -dc",
    "bzip2": "bzip2 -dc",
    "zstd": "zstd -dc",
    "zip": "unzip -p",
}


def _no_text(log: Log) -> LogError:
    message = f"{log.path} is no training log that is known: it is no text ({log.binary})"
    if log.binary not in _UNPACK:
        return _unread(f"{message}.")
    text = log.path.stem if log.path.suffix in _PACKED else f"{log.path.name}.unpacked"
    return LogError(
        f"{message}; unpack it.",
        next_step=f"{_UNPACK[log.binary]} {shlex.quote(str(log.path))} > {shlex.quote(text)}",
    )


_PACKED = {".gz", ".xz", ".bz2", ".zst", ".zip"}


def _unread(message: str) -> LogError:
    """The message, and what to give in place of what was given; the help lists the formats."""
    wanted = "Wanted is the file that a trainer wrote its figures to, or the folder of a run."
    return LogError(f"{message} {wanted}", next_step="trainworthy diagnose --help")


def _short(text: str, length: int = 200) -> str:
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= length else f"{text[:length]}..."


# ------------------------------------------------------------------------------------------------------------
# Folders


def _folder(path: Path) -> list[Curves]:
    found = list(_runs(path, "", _DEEP))
    if not found:
        for file in sorted(path.iterdir()):
            if file.is_file() and file.suffix.lower() in _ENDINGS and _format(log := Log(file)):
                raise _pointless(log, FORMATS[_format(log)].TITLE)
        names = sorted(entry.name for entry in path.iterdir())
        raise _unread(
            f"{path} holds no training log that is known, down to {_DEEP} folders below: it has "
            f"{_short(', '.join(names)) or 'no files'}."
        )
    return found


def _runs(path: Path, name: str, deep: int) -> Iterator[Curves]:
    """The runs of a folder: of its own files, else of its event files, else of the folders in it."""
    with os.scandir(path) as entries:
        listed = sorted(
            (entry for entry, _ in zip(entries, range(_MANY), strict=False)), key=lambda e: _natural(e.name)
        )
    files = [Path(entry) for entry in listed if entry.is_file()]
    own = _own(files, name) or _events(path, listed, files, name)
    if own or not deep:
        yield from own
        return
    folders = [Path(entry) for entry in listed if entry.is_dir() and not entry.name.startswith(".")]
    checkpoints = [folder for folder in folders if folder.name.startswith("checkpoint-")]
    for folder in folders:
        if folder not in checkpoints[:-1]:  # each of Hugging Face's repeats the history of those before
            yield from _runs(folder, f"{name}/{folder.name}".strip("/"), deep - 1)


def _own(files: list[Path], name: str) -> list[Curves]:
    """The curves of the first format of which the folder has a file with points."""
    logs = [Log(file) for file in files if file.suffix.lower() in _ENDINGS and "tfevents" not in file.name]
    formats = [(log, _format(log)) for log in logs]
    for wanted in _IN_FOLDERS:
        read_by = [log for log, form in formats if form == wanted]
        found = [(log, curves) for log in read_by for curves in _points(log, wanted)]
        if found:
            several = len({log.path for log, _ in found}) > 1
            return [
                replace(
                    curves, name=" ".join(filter(None, (name, log.path.name if several else "", curves.name)))
                )
                for log, curves in found
            ]
    return []


def _events(path: Path, listed: list[os.DirEntry[str]], files: list[Path], name: str) -> list[Curves]:
    """The runs of the event files here, and of those in folders such as train/ and eval/."""
    events = [file for file in files if "tfevents" in file.name]
    for entry in listed:
        if entry.is_dir():
            below = sorted(Path(entry).glob("*tfevents*"))
            events += [file for file in below if tensorboard.home(file) == path]
    return tensorboard.read_folder(events, name) if events else []


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts v2 before v10."""
    digits = "".join(c if c.isdigit() else " " for c in name).split()
    letters = "".join("0" if c.isdigit() else c for c in name)
    return [(0, letters), *((int(part), "") for part in digits if len(part) < 10)]
