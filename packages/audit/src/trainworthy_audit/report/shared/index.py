"""reports/index.html: one page over all audits in a folder of reports, the newest first."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trainworthy_audit.report.json import read_head
from trainworthy_audit.report.shared import jinja

if TYPE_CHECKING:
    from trainworthy_audit.source.remote import Url


@dataclass(frozen=True)
class Report:
    """One audit, by the head of its audit.json."""

    folder: str
    head: dict[str, Any]

    @property
    def link(self) -> str:
        """The address of its page, as seen from the index."""
        return f"{quote(self.folder)}/index.html"

    @functools.cached_property
    def blocking(self) -> list[tuple[str, int]]:
        """(code, findings that nobody waived) of the rules that block."""
        rules = self.head["rules"].items()
        return [
            (code, rule["findings"] - rule["waived"])
            for code, rule in rules
            if rule["status"] == "crashed"
            or (rule["severity"] == "error" and rule["findings"] > rule["waived"])
        ]


def render(folder: Path) -> str:
    """The page over every `*/audit.json` in `folder`. Files that are not ours, or damaged, are left out."""
    found = [report for path in sorted(folder.glob("*/audit.json")) if (report := _read(path))]
    found.sort(key=lambda report: str(report.head["created"]), reverse=True)
    return jinja.template("index.html.j2").render(reports=found, **jinja.parts())


def _read(path: Path) -> Report | None:
    try:
        head = read_head(path)
        report = Report(path.parent.name, head)
        shown = (head["dataset"][key] for key in ("images", "boxes", "format"))
        complete = isinstance(report.blocking, list)
        return report if complete and all(value is not None for value in shown) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def other_dataset(folder: Path, dataset: Path | Url) -> str:
    """The dataset whose report lies in `folder`, where it is not `dataset`; else ''."""
    try:
        root = str(read_head(folder / "audit.json")["dataset"]["root"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if isinstance(dataset, Path):
        return "" if Path(root).resolve() == dataset.resolve() else root
    return "" if root == str(dataset) else root
