"""What a probe found, as probe.json holds it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.probe.learning import Forecast, Point

SCHEMA = "trainworthy.probe/1"


@dataclass(frozen=True)
class Suspect:
    """A label that is probably wrong."""

    kind: str  # "missing", "spurious", "moved", "label" or "double"
    image: str  # its path
    annotation: str | None  # the file; None for "missing"
    line: int | None
    box: int | None  # its index in the annotation file; None for "missing"
    label: str | None
    suggested: Mapping[str, Any] | None  # {"label", "bbox": [x1, y1, x2, y2]}; None where the box should go
    score: float  # the probability that the label is wrong, 0..1


@dataclass(frozen=True)
class LabelResult:
    """What can be learnt of one label."""

    ap50: float  # NaN without a box
    boxes: int
    images: int
    learnable: bool
    confused_with: tuple[tuple[str, float], ...]  # (label, share of its boxes that are taken for it)


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found. Pixels are those of the image as stored, edges, origin top-left."""

    name: str
    fingerprint: str
    seed: int
    folds: int
    image_size: int
    cpu_seconds: float
    images: int
    boxes: int
    map50: float
    map: float
    labels: Mapping[str, LabelResult]
    suspects: tuple[Suspect, ...]  # the surest first
    expected_errors: Mapping[str, float]  # {kind: how many labels are wrong, in expectation}
    agreement: Mapping[str, float] = field(default_factory=dict)  # "kappa", "boxes", "p_value"
    learning: tuple[Point, ...] = ()
    forecast: Forecast | None = None
    splits: Mapping[str, float] = field(default_factory=dict)
    outliers: tuple[str, ...] = ()
    not_judged: tuple[tuple[str, int], ...] = ()  # (why, boxes)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The content of probe.json."""
        return {
            "schema": SCHEMA,
            "dataset": self.name,
            "fingerprint": self.fingerprint,
            "seed": self.seed,
            "folds": self.folds,
            "image_size": self.image_size,
            "cpu_seconds": round(self.cpu_seconds, 1),
            "images": self.images,
            "boxes": self.boxes,
            "map50": _number(self.map50),
            "map": _number(self.map),
            "labels": {
                name: {
                    "ap50": _number(one.ap50),
                    "boxes": one.boxes,
                    "images": one.images,
                    "learnable": one.learnable,
                    "confused_with": [[other, round(share, 4)] for other, share in one.confused_with],
                }
                for name, one in self.labels.items()
            },
            "expected_errors": {kind: round(count, 1) for kind, count in self.expected_errors.items()},
            "suspects": [
                {
                    "kind": one.kind,
                    "image": one.image,
                    "annotation": one.annotation,
                    "line": one.line,
                    "box": one.box,
                    "label": one.label,
                    "suggested": one.suggested,
                    "score": round(one.score, 4),
                }
                for one in self.suspects
            ],
            "label_agreement": {name: _number(value) for name, value in self.agreement.items()},
            "learning": [
                {
                    "images": one.images,
                    "map50": _number(one.map50),
                    "low": _number(one.low),
                    "high": _number(one.high),
                }
                for one in self.learning
            ],
            "forecast": None
            if self.forecast is None
            else {name: _number(value) for name, value in self.forecast._asdict().items()},
            "splits": {name: round(value, 4) for name, value in self.splits.items()},
            "outliers": list(self.outliers),
            "not_judged": [{"why": why, "boxes": boxes} for why, boxes in self.not_judged],
            "notes": list(self.notes),
        }

    def dump(self) -> str:
        """The text of probe.json."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _number(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return round(value, 4) if math.isfinite(value) else None
