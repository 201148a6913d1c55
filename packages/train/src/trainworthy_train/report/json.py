"""The diagnosis for scripts: the schema trainworthy.diagnosis/1."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.report.view import Told

SCHEMA = "trainworthy.diagnosis/1"


def render(runs: Sequence[Told]) -> str:
    """One run is an object; several runs of one log are a list of such objects."""
    documents = [document(run) for run in runs]
    whole: Any = documents[0] if len(documents) == 1 else documents
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def document(run: Told) -> dict[str, Any]:
    """What is said of one run."""
    found, curves = run.diagnosis, run.curves
    return {
        "schema": SCHEMA,
        "source": {
            "path": run.path,
            "format": curves.format,
            "points": max((len(series.step) for series in curves.series.values()), default=0),
            "run": curves.name or None,
            "unit": curves.unit,
            "notes": run.notes,
        },
        "pattern": found.pattern,
        "confidence": _number(found.confidence),
        "patterns": {name: _number(share) for name, share in found.patterns.items()},
        "evidence": [
            {
                "what": one.what,
                "measured": _number(one.measured),
                "limit": _number(one.limit),
                "span": None if one.span is None else [_number(edge) for edge in one.span],
            }
            for one in found.evidence
        ],
        "best": {"step": _number(found.best_step), "map": _number(found.best_map)},
        "stop": {"should": found.stop.should, "why": found.stop.why, "at": _number(found.stop.at)},
        "meaning": found.meaning,
        "causes": list(found.causes),
        "advice": list(found.advice),
        "refuted_by": found.refuted_by,
        "experiment": found.experiment,
        "audit": [
            {
                "rule": cited.rule,
                "name": cited.name,
                "findings": cited.findings,
                "waived": cited.waived,
                "message": cited.message,
            }
            for cited in run.cited
        ],
    }


def _number(value: float | str | None) -> float | str | None:
    """As JSON can hold it: six digits, and no NaN."""
    if value is None or isinstance(value, str):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
