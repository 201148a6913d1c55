"""The history of a Weights & Biases run as its folder holds it: `run-ID.wandb`. No account is needed.

The file is a log as LevelDB writes it (blocks of 32 KiB; records with a checksum, a length and a kind, in one part or
several), after a header of 7 bytes. A record is a protocol buffer of which one field matters: history = 2, with
item = 1 (key = 1, nested_key = 2, value_json = 16) and step = 2.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat, ManyFiles
from trainworthy_train.diagnosis.logs.shared.log import Log, number
from trainworthy_train.diagnosis.logs.shared.messages import fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trainworthy_train.types import Curves

_HEADER = b":W&B"
_BLOCK, _HEAD = 32 * 1024, 7
_FULL, _LAST = 1, 4


def sniff(log: Log) -> bool:
    """Whether the file has the header of such a log."""
    return log.head_bytes.startswith(_HEADER)


def read(log: Log) -> list[Curves]:
    """The run: by epoch where its history has one, else by step."""
    rows = [row for record in _records(log.path.read_bytes()) if (row := _history(record))]
    by_epoch = sum("epoch" in row for row in rows) >= len(rows) / 2
    runs = RunSplitter("epoch" if by_epoch else "iteration")
    shift = 1.0 if by_epoch and any(row.get("epoch") == 0 for row in rows) else 0.0
    run = CurvesBuilder("epoch") if not rows else runs.begin()
    for row in rows:
        step = number(row.get("epoch" if by_epoch else "_step"))
        if step is None:
            continue
        for key, value in row.items():
            if not key.startswith("_") and key != "epoch":
                run.add_named(key, step + shift, value)
    return runs.curves()


def _records(data: bytes) -> Iterator[bytes]:
    """The records of the log, as far as it goes: one that is cut off ends it."""
    place, parts = _HEAD, b""
    while place + _HEAD <= len(data):
        if _BLOCK - place % _BLOCK < _HEAD:  # no head fits into the rest of a block
            place += _BLOCK - place % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        place += _HEAD
        if kind == 0 or place + length > len(data):
            return
        parts += data[place : place + length]
        place += length
        if kind in {_FULL, _LAST}:
            yield parts
            parts = b""


def _history(record: bytes) -> dict[str, Any]:
    """The values of one call of `log`; {} of any other record."""
    row: dict[str, Any] = {}
    try:
        for kind, content in fields(record):
            if kind == 2 and isinstance(content, bytes):
                for part, item in fields(content):
                    if part == 1 and isinstance(item, bytes):
                        key, value = _item(item)
                        row[key] = value
    except (ValueError, IndexError, RecursionError):
        return {}
    return row


def _item(data: bytes) -> tuple[str, Any]:
    key: list[str] = []
    value: Any = None
    for kind, content in fields(data):
        if not isinstance(content, bytes):
            continue
        text = content.decode("utf-8", "replace")
        if kind in {1, 2}:
            key.append(text)
        elif kind == 16:
            value = json.loads(text)
    return "/".join(part for part in key if part), value


def _read_folder(files: Sequence[Path], name: str) -> list[Curves]:
    runs = [run for file in sorted(files) for run in read(Log(file))]
    return [replace(run, name=" ".join(filter(None, (name, run.name)))) for run in runs]


FORMAT = LogFormat(
    title="Weights & Biases run-ID.wandb, or the folder of a run",
    recognized_by="the header `:W&B`",
    contains="the history of a run, online or offline, whose names are known (see below)",
    not_read="images, system metrics, the summary",
    order=22,
    sniff=sniff,
    read=read,
    binary=True,
    many_files=ManyFiles("run-*.wandb", frozenset(), _read_folder),
)
