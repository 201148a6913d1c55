"""Reports as whole texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainworthy_audit import report
from trainworthy_audit.types import AuditResult


def render(kind: str, audit: AuditResult, **context: Any) -> str:
    """The audit as the report `kind`; `context` are fields of `report.Context`."""
    return "".join(report.load(kind).render(audit, report.Context(**context)))


def schema(name: str) -> dict[str, Any]:
    """The JSON schema of a document that a command prints."""
    folder = Path(report.__file__).parents[1] / "schemas"
    document: dict[str, Any] = json.loads((folder / f"{name}.schema.json").read_text())
    return document
