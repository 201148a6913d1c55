"""The log formats and the patterns as Markdown tables, which docs/make_tables.py puts into the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.diagnosis import logs, patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def log_formats() -> str:
    """A row per log format, in the order in which they are tried."""
    return _table(
        ("name", "format", "recognized by", "read from it", "not read"),
        (
            (f"`{name}`", form.title, form.recognized_by, form.contains, form.not_read)
            for name, form in logs.catalogue().items()
        ),
    )


def pattern_list() -> str:
    """A row per pattern, in their order."""
    return _table(
        ("pattern", "what the curves look like", "what it means"),
        ((f"`{name}`", pattern.look, pattern.meaning) for name, pattern in patterns.catalogue().items()),
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |\n" for row in lines)
