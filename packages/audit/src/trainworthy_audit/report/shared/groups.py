"""What every report needs: the findings by rule, worst first, and their parts as one clean line of text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit.report.shared.sanitize import clean
from trainworthy_audit.types import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.types import AuditResult, Outcome, Verdict

#: A mark for each severity and status. Their shapes differ, so that they can be told apart without colour.
MARKS = {
    "error": "✖",
    "warning": "▲",
    "info": "●",
    "passed": "✔",
    "crashed": "✖",
    "judge": "?",
    "unchecked": "○",
    "not-applicable": "○",
}

VERDICTS: Mapping[Verdict, str] = {
    "approved": "approved",
    "approved-with-waivers": "approved with waivers",
    "rejected": "rejected",
}


#: Findings of a rule that a group holds: more than any report shows. Of a million only these are ever sorted out.
KEPT = 1000


@dataclass(frozen=True)
class Group:
    """The findings of one rule."""

    outcome: Outcome
    total: int
    waived: int  # how many of them a waiver excuses
    worst: pl.DataFrame  # at most `KEPT`: those that nobody waived first; of these the worst first

    @property
    def open(self) -> int:
        """How many findings nobody waived."""
        return self.total - self.waived

    @property
    def blocks(self) -> bool:
        """Whether this rule alone keeps the dataset from training."""
        return self.outcome.status == "crashed" or (self.outcome.severity == "error" and self.open > 0)


def groups(audit: AuditResult) -> list[Group]:
    """The rules that found something or crashed: what blocks, then errors, warnings, infos, each in its order."""
    tally = audit.findings.group_by("rule").agg(pl.len(), pl.col("waived").count())
    counts = {code: (total, waived) for code, total, waived in tally.iter_rows()}
    worst = _worst(audit.findings).partition_by("rule", as_dict=True, maintain_order=True)
    nothing = audit.findings.clear()
    listed = [
        Group(outcome, *counts.get(code, (0, 0)), worst.get((code,), nothing))
        for code, outcome in audit.outcomes.items()
        if code in counts or outcome.status == "crashed"
    ]
    return sorted(listed, key=lambda group: (not group.blocks, SEVERITIES.index(group.outcome.severity)))


def _worst(findings: pl.DataFrame) -> pl.DataFrame:
    """The worst of each rule: how far each lies from its limit; without numbers their order stays."""
    distance = (pl.col("measured") - pl.col("limit")).abs().fill_nan(None)
    order = findings.select(
        "rule", pl.col("waived").is_not_null(), distance.alias("distance")
    ).with_row_index("at")
    order = order.sort("waived", "distance", descending=[False, True], nulls_last=True, maintain_order=True)
    return findings[order.group_by("rule", maintain_order=True).head(KEPT)["at"]]


def verdict(audit: AuditResult, found: list[Group]) -> str:
    """The verdict in a sentence; `found` are the audit's groups."""
    blockers = [group for group in found if group.blocks]
    crashed = len(audit.crashed)
    if crashed:
        return f"rejected: {count(crashed, 'rule')} crashed, so nobody knows what they would have found"
    if blockers:
        findings = sum(group.open for group in blockers)
        verb = "blocks" if findings == 1 else "block"
        return f"rejected: {count(findings, 'finding')} of {count(len(blockers), 'rule')} {verb} training"
    if audit.verdict == "approved-with-waivers":
        waived = sum(group.waived for group in found if group.outcome.severity == "error")
        verb = "is" if waived == 1 else "are"
        return f"approved with waivers: {count(waived, 'blocking finding')} {verb} accepted{_in_part(audit)}"
    return f"approved: nothing blocks training{_in_part(audit)}"


def _in_part(audit: AuditResult) -> str:
    """What is to be known of an approval for which not every blocking rule was asked."""
    if audit.evidence.dataset.annotations_only:
        return ", as far as annotations tell; no certificate, since no image was looked at"
    if not audit.switched_off:
        return ""
    off = count(len(audit.switched_off), "blocking rule")
    return f", as far as was asked; no certificate, since {off} did not run"


def count(number: int, noun: str, plural: str = "") -> str:
    """'1 box', '2,000 boxes'."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def number(value: float) -> str:
    """A number as people read it: at most four significant digits after whole ones, thousands separated."""
    if math.isnan(value) or math.isinf(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def quantity(row: Mapping[str, Any], name: str) -> str:
    """'34 px': the `measured` or `limit` of a finding with its unit; '' where there is none."""
    if row[f"{name}_text"] is not None:
        return str(row[f"{name}_text"])
    if row[name] is None:
        return ""
    unit = row["unit"] or ""
    return number(row[name]) + (unit if unit in {"%", "°"} else f" {unit}" if unit else "")


def values(row: Mapping[str, Any]) -> str:
    """'measured 34, limit 0.5 px': both, with the unit once; '' where nothing was measured."""
    measured, limit = quantity(row, "measured"), quantity(row, "limit")
    if measured and limit and row["measured_text"] is None:
        measured = number(row["measured"])
    return ", ".join(f"{name} {value}" for name, value in (("measured", measured), ("limit", limit)) if value)


def place(row: Mapping[str, Any]) -> str:
    """'labels/a.txt:3': where a finding is, or '' where it speaks of the whole dataset.

    Without a line the image says more than the file that annotates it, which may be that of all images.
    """
    if row["annotation"] and row["line"]:
        return f"{row['annotation']}:{row['line']}"
    return str(row["image"] or row["annotation"] or "")


def quoted(name: str, limit: int = 0) -> str:
    """A name for a list of names: in quotes where it is blank or begins or ends in spaces, which nobody sees."""
    shown = clean(name, limit)
    return f'"{shown}"' if name != name.strip() or not name else shown
