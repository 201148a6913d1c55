"""A summary of an audit for notebooks: one small piece of HTML that needs nothing around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_audit import formats
from trainworthy_audit.report.shared import groups, jinja

if TYPE_CHECKING:
    from trainworthy_audit.types import AuditResult

RULES = 15  # rules that are listed before the rest is counted


def render(audit: AuditResult) -> str:
    """Verdict, counts, the rules with findings, and what was not checked. Colors follow the notebook's."""
    rule_groups = groups.groups(audit)
    return jinja.template("notebook.html.j2").render(
        audit=audit,
        dataset=audit.evidence.dataset,
        verdict=groups.verdict(audit, rule_groups),
        rules=rule_groups[:RULES],
        left=len(rule_groups) - len(rule_groups[:RULES]),
        format_title=formats.title,
        MARKS=groups.MARKS,
    )
