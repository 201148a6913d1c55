"""The diagnosis for scripts: the schema trainworthy.diagnosis/1."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from trainworthy_train.report.view import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.types import Diagnosis

SCHEMA = "trainworthy.diagnosis/1"


def render(diagnoses: Sequence[Diagnosis]) -> str:
    """One run is an object; several runs of one log are a list of such objects."""
    documents = [document(diagnosis) for diagnosis in diagnoses]
    content: Any = documents[0] if len(documents) == 1 else documents
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """One run's diagnosis, as JSON holds it."""
    curves = diagnosis.curves
    return {
        "schema": SCHEMA,
        "source": {
            "path": diagnosis.source,
            "format": curves.format,
            "points": max((len(series.step) for series in curves.series.values()), default=0),
            "run": curves.name or None,
            "unit": curves.unit,
            "notes": list(describe(diagnosis).notes),
        },
        "pattern": diagnosis.pattern,
        "confidence": _number(diagnosis.confidence),
        "patterns": {name: _number(share) for name, share in diagnosis.patterns.items()},
        "evidence": [
            {
                "what": one.what,
                "measured": _number(one.measured),
                "limit": _number(one.limit),
                "span": None if one.span is None else [_number(edge) for edge in one.span],
                "figures": [
                    {
                        "kind": figure.kind,
                        "series": figure.series,
                        "span": None if figure.span is None else [_number(edge) for edge in figure.span],
                        "value": _number(figure.value),
                    }
                    for figure in one.figures
                ],
            }
            for one in diagnosis.evidence
        ],
        "best": {"step": _number(diagnosis.best_step), "map": _number(diagnosis.best_map)},
        "stop": {
            "should": diagnosis.stop.should,
            "why": diagnosis.stop.why,
            "at": _number(diagnosis.stop.at),
        },
        "meaning": diagnosis.meaning,
        "causes": list(diagnosis.causes),
        "advice": list(diagnosis.advice),
        "refuted_by": diagnosis.refuted_by,
        "experiment": diagnosis.experiment,
        "distrust": None if diagnosis.distrust is None else asdict(diagnosis.distrust),
        "audit": [
            {
                "rule": cited.rule,
                "name": cited.name,
                "findings": cited.findings,
                "waived": cited.waived,
                "message": cited.message,
            }
            for cited in diagnosis.cited
        ],
    }


def _number(value: float | str | None) -> float | str | None:
    """As JSON can hold it: six digits, and null for NaN."""
    if value is None or isinstance(value, str):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
