"""The reports, one file each: `NAME.py` makes a `REPORT`, which turns an `AuditResult` into text.

A report that has a `file` is written by every audit because its module is here; each can be printed, by
`trainworthy audit --output-format NAME`. A report knows no rule by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainworthy_audit import registry

if TYPE_CHECKING:
    from trainworthy_audit.images.preview import Preview
    from trainworthy_audit.types import AuditResult


Previews = Callable[[Sequence[str], int], Mapping[str, "Preview | None"]]
"""(paths, longest side in pixels) -> the preview of each path; None for an image that does not decode."""


def no_previews(paths: Sequence[str], _side: int) -> Mapping[str, Preview | None]:
    """A report without pictures."""
    return dict.fromkeys(paths)


@dataclass(frozen=True)
class Context:
    """What a report needs beside the audit."""

    folder: str = ""  # where the report is written, which printed ones point to; "" where it is not
    previews: Previews = no_previews
    color: bool = False  # whether text may have colors


@dataclass(frozen=True)
class Report:
    """A way to show an audit. Its name is that of its module."""

    render: Callable[[AuditResult, Context], Iterable[str]]
    """The document in pieces."""
    media: str  # its media type
    file: str = ""  # what it is written as, in the folder of the report; "" for what is only printed


def names() -> tuple[str, ...]:
    """The name of each report, sorted; nothing is imported for it."""
    return registry.names(Path(__file__).parent)


def load(name: str) -> Report:
    """The report of this name."""
    report: Report = importlib.import_module(f"{__name__}.{name}").REPORT
    return report
