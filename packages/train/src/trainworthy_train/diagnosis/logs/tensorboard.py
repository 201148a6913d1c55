"""TensorBoard event files: scalars, also those that TensorFlow 2 stores as tensors.

The reader is our own: importing TensorBoard's costs 0.8 CPU seconds, four times what reading and diagnosing a log
takes in all. A file is a sequence of records, each a little-endian length of 8 bytes, its checksum, the data and the
checksum of the data (TFRecord). The data is an `Event` protocol buffer, of which four fields matter: step = 2,
summary = 5; in the summary value = 1, and in a value tag = 1, simple_value = 2, tensor = 8.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder
from trainworthy_train.diagnosis.logs.shared.format import LogFormat, ManyFiles
from trainworthy_train.diagnosis.logs.shared.log import LogError
from trainworthy_train.diagnosis.logs.shared.messages import fields
from trainworthy_train.diagnosis.logs.shared.names import series_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves

Scalars = dict[str, list[tuple[float, float]]]  # by tag: (step, value) in the file's order

_BEST_WEIGHTS = (
    "The last score, logged after training, is the validation of the best weights: it is left out."
)

_LARGEST = 64 << 20  # bytes; larger records hold images and are skipped
_VALIDATION_FOLDERS = {"eval", "eval_0", "val", "valid", "validation", "test"}
_TRAINING_FOLDERS = {"train", "training"}


def sniff(log: Log) -> bool:
    """Whether the file starts with a record whose length has the right checksum."""
    head = log.head_bytes
    return len(head) >= 12 and _record_length(head[:12]) is not None


def read(log: Log) -> list[Curves]:
    """The run of one event file."""
    run = CurvesBuilder("iteration")
    scalars, notes = read_scalars(log.path)
    _add_scalars(run, scalars, validation=_is_evaluation(log.path, scalars))
    return _curves(run, notes, "")


def _read_folder(files: Sequence[Path], name: str) -> list[Curves]:
    """The runs of the event files of one folder, and of its train/ and eval/ folders.

    A file whose series go back to their beginning starts another run; one that goes on from within resumes a run.
    """
    runs: list[tuple[CurvesBuilder, list[str]]] = []
    for path in sorted(files, key=lambda file: (_time_created(file), str(file))):
        scalars, notes = read_scalars(path)
        part = CurvesBuilder("iteration")
        _add_scalars(part, scalars, validation=_is_evaluation(path, scalars))
        if not part.points:
            continue
        continued = next((run for run, _ in reversed(runs) if _continues(run, part)), None)
        if continued is None:
            runs.append((part, notes))
        else:
            _append(continued, part)
    return [
        curves
        for number, (run, notes) in enumerate(runs, 1)
        for curves in _curves(run, notes, name if len(runs) == 1 else f"{name} run {number}".strip())
    ]


def read_scalars(path: Path) -> tuple[Scalars, list[str]]:
    """Every scalar of an event file by its tag, and what was skipped. Raises `LogError` if it cannot be opened."""
    scalars: Scalars = {}
    notes: list[str] = []
    for event in _records(path, notes):
        try:
            _read_event(event, scalars)
        except (ValueError, struct.error, IndexError):
            if "Damaged records are left out." not in notes:
                notes.append("Damaged records are left out.")
    return scalars, notes


def _records(path: Path, notes: list[str]) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            while head := file.read(12):
                length = _record_length(head)
                if length is None or file.tell() + length + 4 > size:
                    notes.append("The file is cut off or damaged: it is read as far as it goes.")
                    return
                if length > _LARGEST:
                    file.seek(length + 4, 1)
                    continue
                data = file.read(length + 4)
                yield data[:-4]
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error.strerror or error}") from error


def _record_length(head: bytes) -> int | None:
    """The length in the head of a record, or None if its checksum is wrong."""
    if len(head) < 12:
        return None
    length, check = struct.unpack("<QI", head)
    return length if _checksum(head[:8]) == check else None


def _checksum(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and masked as in TFRecord."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CASTAGNOLI[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _castagnoli(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CASTAGNOLI = [_castagnoli(byte) for byte in range(256)]


# ------------------------------------------------------------------------------------------------------------
# Protocol buffers


def _read_event(data: bytes, scalars: Scalars) -> None:
    step, summary = 0, b""
    for number, value in fields(data):
        if number == 2 and isinstance(value, int):
            step = value
        elif number == 5 and isinstance(value, bytes):
            summary = value
    if step >= 1 << 63:  # a negative step, from before the first one
        return
    for number, value in fields(summary):
        if number == 1 and isinstance(value, bytes):
            _read_value(value, float(step), scalars)


def _read_value(data: bytes, step: float, scalars: Scalars) -> None:
    tag, scalar = "", None
    for number, value in fields(data):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode("utf-8", "replace")
        elif number == 2 and len(value) == 4:
            scalar = struct.unpack("<f", value)[0]
        elif number == 8:
            scalar = _read_tensor(value)
    if tag and scalar is not None:
        scalars.setdefault(tag, []).append((step, scalar))


_CONTENT = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e"}  # by dtype
_LISTS = {5: "<f", 6: "<d"}  # by field: float_val, double_val


def _read_tensor(data: bytes) -> float | None:
    """The value of a tensor that holds exactly one number."""
    kind, content, value = 0, b"", None
    for number, field in fields(data):
        if number == 1 and isinstance(field, int):
            kind = field
        elif number == 4 and isinstance(field, bytes):
            content = field
        elif number in _LISTS and isinstance(field, bytes) and len(field) == struct.calcsize(_LISTS[number]):
            value = float(struct.unpack(_LISTS[number], field)[0])
    layout = _CONTENT.get(kind, "")
    if layout and len(content) == struct.calcsize(layout):
        value = float(struct.unpack(layout, content)[0])
    return value


# ------------------------------------------------------------------------------------------------------------
# Tags


def _add_scalars(run: CurvesBuilder, scalars: Scalars, *, validation: bool) -> None:
    for tag, points in scalars.items():
        name = series_name(tag)
        if validation and name.startswith("loss"):
            name = f"val_{name}"
        if not name or (validation and name == "lr"):
            continue
        for step, value in _without_best_weights(run, name, points):
            run.add(name, step, value)


def _without_best_weights(
    run: CurvesBuilder, name: str, points: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Ultralytics validates its best weights after training, and logs their scores for the last epoch once more."""
    if name.startswith("loss") or len(points) < 2 or points[-1][0] != points[-2][0]:
        return points
    run.note(_BEST_WEIGHTS)
    return points[:-1]


def _is_evaluation(path: Path, scalars: Scalars) -> bool:
    """Whether an evaluation wrote the file: its folder says so, or it has COCO's metrics and no learning rate."""
    if path.parent.name.lower() in _VALIDATION_FOLDERS:
        return True
    metrics = any(tag.startswith(("DetectionBoxes_", "PascalBoxes_")) for tag in scalars)
    return metrics and not any(series_name(tag) == "lr" for tag in scalars)


def _time_created(path: Path) -> float:
    """When an event file was created, in seconds, from its name."""
    match = re.search(r"tfevents\.(\d{1,12})", path.name)
    return float(match[1]) if match else 0.0


def _continues(known: CurvesBuilder, part: CurvesBuilder) -> bool:
    """Whether a later file belongs to the same run: it has other series, or its series go on where these were."""
    return all(
        min(points) > min(known.points[name])
        for name, points in part.points.items()
        if known.points.get(name)
    )


def _append(known: CurvesBuilder, part: CurvesBuilder) -> None:
    for name, points in part.points.items():
        start = min(points)
        kept = {step: value for step, value in known.points.get(name, {}).items() if step < start}
        if len(kept) < len(known.points.get(name, {})):
            known.note(f"The run was resumed at step {start:g}: what had been logged after that is left out.")
        known.points[name] = kept | points


def _curves(run: CurvesBuilder, notes: list[str], name: str) -> list[Curves]:
    if not run.points:
        return []
    for text in notes:
        run.note(text)
    _losses_by_epoch(run)
    losses = [max(points) for series, points in run.points.items() if series.startswith("loss")]
    if _by_epoch(run) and losses:
        run.unit = "epoch"
        _drop_extra_epoch(run, max(losses))
        run.points = {series: points for series, points in run.points.items() if points}
        if min(min(points) for points in run.points.values()) == 0:
            run.points = {s: {step + 1: v for step, v in points.items()} for s, points in run.points.items()}
    return [run.curves(name)]


def _losses_by_epoch(run: CurvesBuilder) -> None:
    """RT-DETR logs losses by iteration and metrics by epoch: losses are put at fractions of epochs."""
    scores = sorted(
        {step for name, points in run.points.items() if name.startswith("map") for step in points}
    )
    losses = [points for name, points in run.points.items() if name.startswith(("loss", "lr"))]
    if len(scores) < 2 or not losses or scores[0] != 0 or set(np.diff(scores)) != {1.0}:
        return
    last = max(max(points) for points in losses)
    if last < 3 * len(scores):
        return
    length = (last + 1) / len(scores)
    for name, points in run.points.items():
        unit = length if name.startswith(("loss", "lr")) else 1.0
        run.points[name] = {(step + 1) / unit: value for step, value in points.items()}
    run.unit = "epoch"
    run.note(
        f"Losses are logged by iteration and metrics by epoch: an epoch is taken for {length:.0f} iterations."
    )


def _by_epoch(run: CurvesBuilder) -> bool:
    """Whether steps count epochs: losses, and metrics or validation losses, share consecutive steps."""
    losses = next((points for name, points in run.points.items() if name.startswith("loss")), {})
    scores = next((points for name, points in run.points.items() if name.startswith(("map", "val_loss"))), {})
    steps = sorted(losses)
    return (
        bool(scores)
        and len(set(losses) & set(scores)) >= len(steps) / 2
        and bool((np.diff(steps) == 1).all())
    )


def _drop_extra_epoch(run: CurvesBuilder, end: float) -> None:
    """YOLOv5 logs the validation of its best weights as one more epoch."""
    for name, points in run.points.items():
        extra = [step for step in points if step > end]
        if extra and not name.startswith("loss"):
            run.points[name] = {step: value for step, value in points.items() if step <= end}
            if name.startswith("map"):
                run.note(_BEST_WEIGHTS)


FORMAT = LogFormat(
    title="TensorBoard event file, or a folder of them",
    recognized_by="TFRecords: the first record's length has the right checksum",
    contains="scalars, also those stored as tensors, whose tags are known (see below)",
    not_read="images, histograms, texts; the validation of the best weights after training",
    order=20,
    sniff=sniff,
    read=read,
    binary=True,
    many_files=ManyFiles("*tfevents*", frozenset(_VALIDATION_FOLDERS | _TRAINING_FOLDERS), _read_folder),
)
