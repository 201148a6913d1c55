"""Findings as workflow commands, which GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_audit.report import Report
from trainworthy_audit.report.shared.groups import count, groups, values, verdict
from trainworthy_audit.report.shared.paths import in_repository, page_in
from trainworthy_audit.report.shared.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainworthy_audit.report import Context
    from trainworthy_audit.report.shared.groups import Group
    from trainworthy_audit.types import AuditResult

#: GitHub shows this many annotations of each kind a step, and silently drops the rest.
SHOWN = 10

COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def render(audit: AuditResult, context: Context) -> Iterator[str]:
    """Workflow commands, a line each: the worst places of every rule, and last the verdict."""
    lines: list[str] = []
    left = 0
    found = groups(audit)
    closing = "error" if audit.verdict == "rejected" else "notice"
    for severity, command in COMMANDS.items():
        alike = [
            group
            for group in found
            if group.outcome.severity == severity or group.outcome.status == "crashed"
        ]
        alike = (
            alike if severity == "error" else [group for group in alike if group.outcome.status != "crashed"]
        )
        room = SHOWN - 1 if command == closing else SHOWN  # the verdict below takes a place as well
        chosen = _chosen(alike, room)
        lines += [_command(command, audit, group, row) for group, row in chosen]
        left += sum(group.open for group in alike) - sum(bool(row) for _, row in chosen)
    summary = verdict(audit, found)
    if left:
        summary += f"; {count(left, 'more finding')} {'is' if left == 1 else 'are'} not shown here"
    summary += f": see {page_in(context.folder)}" if context.folder else ""
    lines.append(f"::{closing} title={_property('trainworthy: ' + audit.verdict)}::{_message(summary)}")
    yield "\n".join(lines) + "\n"


def _chosen(found: list[Group], room: int) -> list[tuple[Group, dict[str, Any]]]:
    """Up to `room` findings, taken from the rules in turn; an empty row stands for a rule that crashed."""
    queues = [(group, _rows(group)) for group in found]
    chosen: list[tuple[Group, dict[str, Any]]] = []
    for turn in range(SHOWN):
        chosen += [(group, queue[turn]) for group, queue in queues if turn < len(queue)]
    order = {id(group): index for index, group in enumerate(found)}
    return sorted(chosen[:room], key=lambda pair: order[id(pair[0])])


def _rows(group: Group) -> list[dict[str, Any]]:
    if group.outcome.status == "crashed":
        return [{}]
    return group.worst.head(min(group.open, SHOWN)).to_dicts()


def _command(command: str, audit: AuditResult, group: Group, row: Mapping[str, Any]) -> str:
    rule = group.outcome.rule
    title = _property(f"{rule.code} {rule.name}")
    if not row:
        return f"::error title={title}::{_message('the rule crashed: ' + group.outcome.reason)}"
    file = row["annotation"] or row["image"]
    where = f"file={_property(in_repository(audit, file))}," if file else ""
    where += f"line={row['line']}," if file and row["line"] else ""
    message = row["message"]
    measured = values(row)
    message += f" ({measured})" if measured else ""
    if row["image"] and row["image"] != file:
        message += f" in {row['image']}"
    return f"::{command} {where}title={title}::{_message(message)}"


def _message(text: str) -> str:
    return clean(text, 1000).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


REPORT = Report(render, "text/plain")
