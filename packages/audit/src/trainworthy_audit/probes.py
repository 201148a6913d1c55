"""probe.json: what a detector said of the labels, read again. `trainworthy probe` of trainworthy-train writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import polars as pl
from blake3 import blake3

from trainworthy_audit.errors import ConfigError
from trainworthy_audit.source.plain_file import read_plain_file
from trainworthy_audit.types import SUSPECTS, LearningPoint, Probe, ProbedLabel

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "trainworthy.probe/1"

#: The file's name in the folder of a report.
FILE = "probe.json"

#: A suspect takes about 300 bytes; a million of them would be another kind of file.
MAX_BYTES = 2**29

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Suggested(msgspec.Struct):
    label: str
    bbox: tuple[float, float, float, float]


class _Suspect(msgspec.Struct):
    kind: Literal["missing", "spurious", "moved", "label", "double"]
    image: str
    score: _Share
    annotation: str | None = None
    line: _Count | None = None
    box: _Count | None = None
    label: str | None = None
    suggested: _Suggested | None = None


class _Label(msgspec.Struct):
    ap50: _Share | None
    boxes: _Count
    images: _Count
    learnable: bool
    confused_with: list[tuple[str, float]] = []


class _Point(msgspec.Struct):
    images: _Count
    map50: float
    low: float
    high: float


class _Forecast(msgspec.Struct):
    more_images: _Count
    map50: float
    low: float
    high: float


class _NotJudged(msgspec.Struct):
    why: str
    boxes: _Count


class _Probe(msgspec.Struct):
    schema: Literal["trainworthy.probe/1"]
    fingerprint: str
    suspects: list[_Suspect]
    seed: int = 0
    folds: int = 0
    image_size: int = 0
    images: _Count = 0
    boxes: _Count = 0
    map50: float | None = None
    labels: dict[str, _Label] = {}
    expected_errors: dict[str, float] = {}
    label_agreement: dict[str, float | None] = {}
    learning: list[_Point] = []
    forecast: _Forecast | None = None
    splits: dict[str, float] = {}
    outliers: list[str] = []
    not_judged: list[_NotJudged] = []
    notes: list[str] = []


def read(file: Path, dataset: str = "DATASET") -> Probe:
    """The probe in `file`; `dataset` is for messages. Raises `ConfigError` where it cannot be read or is none."""
    again = f"trainworthy probe {dataset}"
    try:
        data = read_plain_file(file, MAX_BYTES)
        found = msgspec.json.decode(data, type=_Probe)
    except OSError as error:
        raise ConfigError(
            f"cannot read the probe {file}: {error.strerror or error}", next_step=again
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{file} is not a probe: {error}\n  Expected is what `trainworthy probe` wrote.", next_step=again
        ) from error
    forecast = found.forecast
    return Probe(
        file=str(file),
        digest=blake3(data).hexdigest(),
        fingerprint=found.fingerprint,
        suspects=_frame(found.suspects),
        seed=found.seed,
        folds=found.folds,
        image_size=found.image_size,
        images=found.images,
        boxes=found.boxes,
        map50=found.map50,
        labels={
            name: ProbedLabel(one.ap50, one.boxes, one.images, one.learnable, tuple(one.confused_with))
            for name, one in found.labels.items()
        },
        expected_errors=found.expected_errors,
        agreement={name: value for name, value in found.label_agreement.items() if value is not None},
        learning=tuple(LearningPoint(one.images, one.map50, one.low, one.high) for one in found.learning),
        forecast=None
        if forecast is None
        else LearningPoint(forecast.more_images, forecast.map50, forecast.low, forecast.high),
        splits=found.splits,
        outliers=tuple(found.outliers),
        not_judged=tuple((one.why, one.boxes) for one in found.not_judged),
        notes=tuple(found.notes),
    )


def _frame(suspects: list[_Suspect]) -> pl.DataFrame:
    """`SUSPECTS`, the surest first."""
    rows = [
        (
            one.kind,
            one.image,
            one.annotation,
            one.line,
            one.box,
            one.label,
            one.suggested.label if one.suggested else None,
            *(one.suggested.bbox if one.suggested else (None,) * 4),
            one.score,
        )
        for one in suspects
    ]
    frame = pl.DataFrame(rows, schema=SUSPECTS, orient="row")
    return frame.sort("score", descending=True, maintain_order=True)
