"""The report in the terminal: what blocks first, the worst places of each rule, last the verdict."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click
import polars as pl

from trainworthy_audit import certificate, formats
from trainworthy_audit.report import Report
from trainworthy_audit.report.shared import settings
from trainworthy_audit.report.shared.groups import (
    MARKS,
    VERDICTS,
    count,
    groups,
    place,
    quoted,
    values,
    verdict,
)
from trainworthy_audit.report.shared.paths import certificate_in, page_in
from trainworthy_audit.report.shared.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainworthy_audit.report import Context
    from trainworthy_audit.report.shared.groups import Group
    from trainworthy_audit.types import AuditResult, Dataset

WIDTH = 100
PLACES = 3  # shown of each rule
LISTED = 8  # classes, splits, notes or waivers that are named before the rest is counted

COLOURS = {"error": "red", "warning": "yellow", "info": "blue", "passed": "green", "crashed": "red"}
#: "Failed" would be too much said of a rule that only found something to know.
_STATUSES = {
    "failed": "with findings",
    "crashed": "crashed",
    "passed": "without",
    "not-applicable": "not applicable",
}
_VERDICT_MARKS = {"approved": "passed", "approved-with-waivers": "warning", "rejected": "error"}


def render(audit: AuditResult, context: Context) -> Iterator[str]:
    """The report as text of about 100 columns.

    The last line points to the page in the context's folder, the line before it to the certificate where the audit
    earned one.
    """
    color = context.color
    rule_groups = groups(audit)
    blocks = [_header(audit), *(_group(group, color=color) for group in rule_groups)]
    blocks.append(_summary(audit, color=color))
    page = page_in(context.folder) if context.folder else ""
    last = [_verdict(audit, verdict(audit, rule_groups), page, color=color)]
    if page and certificate.due(audit):
        last.insert(0, f"certificate: {certificate_in(context.folder)}")
    blocks.append(last)
    yield "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _header(audit: AuditResult) -> list[str]:
    dataset = audit.evidence.dataset
    lines = [f"{clean(audit.name, 60)} · {formats.title(dataset.format)} · {clean(dataset.root)}"]
    counts = [
        count(dataset.images.height, "image"),
        count(dataset.boxes.height, "box", "boxes"),
        count(len(dataset.classes), "class", "classes"),
    ]
    lines += _wrapped(" · ".join(counts), "  ")
    if dataset.classes:
        lines += _wrapped("classes: " + _few(quoted(name, 30) for name in dataset.classes), "  ")
    if dataset.splits:
        sizes = dict(dataset.membership.group_by("split").len().iter_rows())
        named = _few(f"{clean(name, 30)} {sizes.get(name, 0):,}" for name in dataset.splits)
        lines += _wrapped(f"splits: {named}{_outside_splits(dataset)}", "  ")
    return lines


def _outside_splits(dataset: Dataset) -> str:
    """What splits and images do not add up by: ' · 5 in no split · 2 in several'."""
    several = dataset.membership.group_by("image").len().filter(pl.col("len") > 1).height
    parts = [f"{dataset.unlisted:,} in no split"] * bool(dataset.unlisted) + [
        f"{several:,} in several"
    ] * bool(several)
    return "".join(f" · {part}" for part in parts)


def _group(group: Group, *, color: bool) -> list[str]:
    outcome = group.outcome
    rule = outcome.rule
    kind = "crashed" if outcome.status == "crashed" else outcome.severity
    head = _style(f"{MARKS[kind]} {rule.code} {rule.name}", kind, color=color)
    if outcome.status == "crashed":
        return [
            f"{head}  crashed, so it is not known what it would have found",
            *_wrapped(clean(outcome.reason, 400), "    "),
        ]
    told = count(group.total, "finding")
    if group.waived:
        told += f", {group.waived:,} waived"
    lines = [f"{head}  {outcome.severity}, {told}: {rule.summary}"]
    shown = group.worst.head(PLACES)
    for row in shown.iter_rows(named=True):
        lines += _place(row)
    rest = group.total - shown.height
    if rest:
        lines.append(f"    … and {rest:,} more")
    return lines


def _place(row: Mapping[str, Any]) -> list[str]:
    where = [clean(place(row))]
    if row["box"] is not None:
        where.append(f"box {row['box']}")
    if row["label"] is not None:
        where.append(quoted(row["label"], 40))
    where = [part for part in where if part]
    message = clean(row["message"], 300)
    if row["waived"] is not None:
        message += " (waived)"
    measured = clean(values(row), 200)
    told = _wrapped(f"{message} [{measured}]" if measured else message, "      " if where else "    ")
    if row["text"]:
        told += _wrapped(f"it says: {clean(row['text'], 160)}", "      ")
    # Places are never broken, so that terminals and editors can open them.
    return ["    " + "  ".join(where), *told] if where else told


def _summary(audit: AuditResult, *, color: bool) -> list[str]:
    by_status: dict[str, list[str]] = {}
    for code, outcome in audit.outcomes.items():
        by_status.setdefault(outcome.status, []).append(code)
    told = [
        f"{len(by_status[status]):,} {words}" for status, words in _STATUSES.items() if status in by_status
    ]
    if "failed" not in by_status:
        told = [part.replace("without", "without findings") for part in told]
    mark = _style(MARKS["passed"], "passed", color=color)
    lines = [f"{mark} {count(len(audit.outcomes), 'rule')}: {', '.join(told)}"]
    for waiver in audit.waivers[:LISTED]:
        who = f"{waiver.rule} {waiver.status}: {waiver.reason} ({waiver.author}, until {waiver.expires})"
        lines += _wrapped(clean(f"waiver {who}", 300), "  ")
    if len(audit.waivers) > LISTED:
        lines.append(f"  … and {count(len(audit.waivers) - LISTED, 'waiver')} more")
    lines += _changed(audit)
    for title, sentences in (("not checked", audit.not_checked), ("note", audit.evidence.dataset.notes)):
        for sentence in sentences[:LISTED]:
            lines += _wrapped(clean(f"{title}: {sentence}", 300), "  ")
        if len(sentences) > LISTED:
            lines.append(f"  … and {len(sentences) - LISTED:,} more: see the report")
    return lines


def _changed(audit: AuditResult) -> list[str]:
    """What was decided by other limits than everybody's stands beside the verdict."""
    changed = settings.changed(audit)
    if not changed:
        return []
    listed = ", ".join(settings.describe(setting) for setting in changed[: settings.SHOWN])
    left = len(changed) - settings.SHOWN
    return _wrapped(f"changed settings: {listed}{f' and {left:,} more' if left > 0 else ''}", "  ")


def _verdict(audit: AuditResult, sentence: str, report: str, *, color: bool) -> str:
    kind = _VERDICT_MARKS[audit.verdict]
    head = VERDICTS[audit.verdict]
    line = _style(f"{MARKS[kind]} {head}", kind, color=color, bold=True) + sentence.removeprefix(head)
    return f"{line} · {report}" if report else line


def _few(names: Iterator[str]) -> str:
    listed = list(names)
    rest = len(listed) - LISTED
    return ", ".join(listed[:LISTED]) + (f" and {rest:,} more" if rest > 0 else "")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def _style(text: str, kind: str, *, color: bool, bold: bool = False) -> str:
    return click.style(text, fg=COLOURS[kind], bold=bold) if color else text


REPORT = Report(render, "text/plain")
