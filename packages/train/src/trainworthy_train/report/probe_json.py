"""A probe as probe.json: `trainworthy.probe/1`."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from trainworthy_train.report import document

if TYPE_CHECKING:
    from trainworthy_train.types import LabelResult, ProbeResult, Suspect


def render(result: ProbeResult) -> str:
    """The text of probe.json."""
    content = dataclasses.asdict(result)
    content = {"dataset": content.pop("name")} | content
    content |= {
        "cpu_seconds": round(result.cpu_seconds, 1),
        "map50": _number(result.map50),
        "map": _number(result.map),
        "labels": {name: _label(one) for name, one in result.labels.items()},
        "suspects": [_suspect(one) for one in result.suspects],
        "expected_errors": {kind: round(count, 1) for kind, count in result.expected_errors.items()},
        "label_agreement": {name: _number(value) for name, value in content.pop("agreement").items()},
        "learning": [
            {name: _number(value) for name, value in one._asdict().items()} for one in result.learning
        ],
        "forecast": result.forecast
        and {name: _number(value) for name, value in result.forecast._asdict().items()},
        "splits": {name: _number(value) for name, value in result.splits.items()},
        "not_judged": [{"why": why, "boxes": boxes} for why, boxes in result.not_judged],
    }
    return document.dump("probe", **content) + "\n"


def _label(one: LabelResult) -> dict[str, object]:
    confused = [[other, _number(share)] for other, share in one.confused_with]
    return dataclasses.asdict(one) | {"ap50": _number(one.ap50), "confused_with": confused}


def _suspect(one: Suspect) -> dict[str, object]:
    return dataclasses.asdict(one) | {"score": _number(one.score)}


def _number(value: float) -> float | None:
    """Four digits, which is more than any figure of a probe has."""
    return round(value, 4) if math.isfinite(value) else None
