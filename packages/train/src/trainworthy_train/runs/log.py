"""A run's log, `log.jsonl`: written line by line, read back as events, rows, a table or curves.

Events: "session" (a start or a resume), "step", "epoch", "finding" (something that went wrong) and "end".
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from trainworthy_train.types import Curves, Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Series of `Curves` that stand in an epoch's event under their own names.
EPOCH_SERIES = (
    "loss", "val_loss", "map50", "map", "precision", "recall", "iou", "lr",
    "map50_any_class", "map50_train", "map50_golden",
)  # fmt: skip

Event = dict[str, Any]
Row = TypeVar("Row", bound="Mapping[str, Any]")


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# ------------------------------------------------------------------------------------------------------------
# Writing


class Log:
    """Appends to a log file, line by line; each line is handed to the system before `add` returns."""

    def __init__(self, file: Path) -> None:
        torn = file.exists() and not _ends_with_newline(file)
        self._handle = file.open("ab", buffering=0)
        if torn:  # the line that was being written when the process was killed
            self._handle.write(b"\n")

    def add(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever the event has
        """Append one event. Values that are not finite become null, and are named in "nan". Raises `OSError`."""
        not_finite: list[str] = []
        body = {key: _finite(value, key, not_finite) for key, value in fields.items()}
        line = {"event": event} | body | ({"nan": not_finite} if not_finite else {})
        self._handle.write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def _ends_with_newline(file: Path) -> bool:
    with file.open("rb") as handle:
        if handle.seek(0, os.SEEK_END) == 0:
            return True
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) == b"\n"


def _finite(value: Any, key: str, not_finite: list[str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float) and not math.isfinite(value):
        not_finite.append(key)
        return None
    if isinstance(value, dict):
        return {str(name): _finite(part, f"{key}/{name}", not_finite) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part, key, not_finite) for part in value]
    return value


# ------------------------------------------------------------------------------------------------------------
# Reading


_Figure = float | None
_Figures = dict[str, _Figure]


class _Event(msgspec.Struct):
    event: str


#: {kind of event: its fields, as far as they are read again}. What has another type is no line of ours.
_FIELDS: Mapping[str, Any] = {
    "step": msgspec.defstruct("_Step", [("step", int), ("loss", _Figure, None), ("lr", _Figure, None)]),
    "epoch": msgspec.defstruct(
        "_Epoch",
        [
            ("epoch", int),
            ("step", int | None, None),
            ("seconds", _Figure, None),
            *((name, _Figure, None) for name in EPOCH_SERIES),
            ("parts", _Figures, {}),
            ("val_parts", _Figures, {}),
            ("labels", dict[str, dict[str, Any]], {}),
        ],
    ),
    "session": msgspec.defstruct(
        "_Session",
        [
            ("planned_epochs", int | None, None),
            ("steps_per_epoch", int | None, None),
            ("certificate", dict[str, Any], {}),
            ("hardware", dict[str, Any], {}),
            ("time", str, ""),
        ],
    ),
    "end": msgspec.defstruct("_End", [("why", str, ""), ("test", _Figures | None, None)]),
}


def read_events(file: Path) -> list[Event]:
    """The lines of a log file in their order, but for torn ones and others that no run writes; [] without a file."""
    read = []
    with contextlib.suppress(FileNotFoundError), file.open("rb") as handle:
        for line in handle:
            try:
                event = msgspec.json.decode(line)
                kind = msgspec.convert(event, _Event).event
                msgspec.convert(event, _FIELDS.get(kind, _Event))
            except (ValueError, RecursionError):
                continue
            read.append(event)
    return read


def latest(log: Sequence[Row], kind: Literal["step", "epoch"]) -> list[Row]:
    """The steps or epochs of a log, rising; of one that was repeated after a resume, the later line."""
    by_number = {event[kind]: event for event in log if event["event"] == kind}
    return [event for _, event in sorted(by_number.items())]


def best_epoch(rows: Sequence[Row]) -> Row | None:
    """The epoch with the best mAP@50, the earliest of equals; None where none has any."""
    scored = [row for row in rows if (score := row.get("map50")) is not None and not math.isnan(score)]
    return max(scored, key=lambda row: row["map50"], default=None)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The epochs as CSV: one column a number, parts and labels spelled "val_parts/box", "labels/cat/map50"."""
    flat = [flatten(row) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in flat)
    return text.getvalue()


def flatten(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """An epoch's event as one level of columns: {"labels": {"cat": {"map50": x}}} -> {"labels/cat/map50": x}."""
    columns: dict[str, Any] = {}
    for key, value in row.items():
        if key in {"event", "nan"}:
            continue
        if isinstance(value, dict):
            columns |= flatten(value, f"{prefix}{key}/")
        else:
            columns[prefix + key] = value
    return columns


def curves(log: Sequence[Mapping[str, Any]], *, name: str = "") -> Curves:
    """The epochs of a log as curves."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in latest(log, "epoch"):
        values = {key: row[key] for key in EPOCH_SERIES if key in row}
        values |= {f"loss/{key}": value for key, value in row.get("parts", {}).items()}
        values |= {f"val_loss/{key}": value for key, value in row.get("val_parts", {}).items()}
        for key, value in values.items():
            points.setdefault(key, []).append((row["epoch"], math.nan if value is None else value))
    session = next((event for event in log if event["event"] == "session"), {})
    return Curves(
        series={key: _series(pairs) for key, pairs in points.items()},
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
