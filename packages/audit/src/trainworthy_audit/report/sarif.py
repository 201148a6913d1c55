"""SARIF 2.1.0, which code scanning services read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import polars as pl

from trainworthy_audit.report import Report
from trainworthy_audit.report.shared.groups import count, values
from trainworthy_audit.report.shared.paths import in_repository
from trainworthy_audit.report.shared.sanitize import clean
from trainworthy_audit.types import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainworthy_audit.report import Context
    from trainworthy_audit.types import AuditResult, Outcome

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RESULTS = 25_000  # GitHub code scanning refuses a run with more
TEXT = 1000  # characters of a message or snippet

LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render(audit: AuditResult, _: Context) -> Iterator[str]:
    """One run. Of more findings than a service accepts, errors are kept first, and a notification says so."""
    ranks = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    findings = audit.findings.sort(
        pl.col("waived").is_not_null(),
        pl.col("severity").replace_strict(ranks, default=9),
        maintain_order=True,
    ).head(RESULTS)
    indices = {code: index for index, code in enumerate(audit.outcomes)}
    run = {
        "tool": {
            "driver": {
                "name": "trainworthy",
                "semanticVersion": audit.version,
                "rules": [_rule(outcome) for outcome in audit.outcomes.values()],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not audit.crashed,
                "endTimeUtc": audit.created.replace("+00:00", "Z"),
                "toolExecutionNotifications": _notifications(audit, findings.height),
            }
        ],
        "columnKind": "unicodeCodePoints",
        "properties": {"verdict": audit.verdict, "fingerprint": audit.fingerprint},
        "results": [_result(audit, row, indices[row["rule"]]) for row in findings.iter_rows(named=True)],
    }
    whole = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    yield json.dumps(whole, ensure_ascii=False, allow_nan=False) + "\n"


def _rule(outcome: Outcome) -> dict[str, Any]:
    rule = outcome.rule
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": rule.docs or rule.summary, "markdown": rule.docs or rule.summary},
        "defaultConfiguration": {"level": LEVELS[outcome.severity]},
        "properties": {"tags": [rule.group]},
    }


def _notifications(audit: AuditResult, shown: int) -> list[dict[str, Any]]:
    told = [
        {"level": "error", "message": {"text": f"{outcome.rule.code} crashed: {outcome.reason}"}}
        for outcome in audit.crashed
    ]
    left = audit.findings.height - shown
    if left:
        text = f"{count(left, 'finding')} left out, as a run holds at most {RESULTS:,}: see audit.json."
        told.append({"level": "warning", "message": {"text": text}})
    return told


def _result(audit: AuditResult, row: Mapping[str, Any], index: int) -> dict[str, Any]:
    beside = [row["image"]] if row["annotation"] and row["image"] else []  # the place is then the annotation
    result: dict[str, Any] = {
        "ruleId": row["rule"],
        "ruleIndex": index,
        "level": LEVELS[row["severity"]],
        "message": {"text": _message(row)},
        "locations": _locations(audit, row),
        "relatedLocations": [_location(audit, path) for path in (*beside, *(row["related"] or []))[:10]],
    }
    if row["key"]:
        result["partialFingerprints"] = {"trainworthy/v1": row["key"]}
    if row["waived"] is not None:
        waiver = audit.waivers[row["waived"]]
        why = f"{waiver.reason} ({waiver.author}, until {waiver.expires.isoformat()})"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


def _message(row: Mapping[str, Any]) -> str:
    message = clean(row["message"], TEXT)
    measured = clean(values(row), TEXT)
    return f"{message} ({measured})" if measured else message


def _locations(audit: AuditResult, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The annotation's line, else the image, else the dataset: services show no result without a place."""
    path = row["annotation"] or row["image"] or ""
    return [_location(audit, path, row["line"] if row["annotation"] else None)]


def _location(audit: AuditResult, path: str, line: int | None = None) -> dict[str, Any]:
    whole = in_repository(audit, path)
    uri = ("file://" if whole.startswith("/") else "") + quote(whole, errors="surrogateescape")
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line or 1}}}


REPORT = Report(render, "application/sarif+json", "audit.sarif")
