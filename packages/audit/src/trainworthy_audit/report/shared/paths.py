"""Where things lie: a dataset's files for tools that look at the whole repository, and the parts of a report."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_audit.types import AuditResult


def in_repository(audit: AuditResult, path: str) -> str:
    """The POSIX path of a dataset's file from the working directory; absolute where it lies elsewhere.

    A zip stands for its members, which no tool can open.
    """
    if "://" in audit.evidence.dataset.root:
        return f"{audit.evidence.dataset.root}/{path}"
    root = PurePath(audit.evidence.dataset.root)
    if root.is_absolute() and root.is_relative_to(Path.cwd()):
        root = root.relative_to(Path.cwd())
    whole = root if root.suffix.lower() == ".zip" else root / path
    return whole.as_posix()


def page_in(folder: str) -> str:
    """The page of the report in `folder`."""
    return str(Path(folder) / "index.html")


def certificate_in(folder: str) -> str:
    """The certificate beside the report in `folder`."""
    return str(Path(folder) / "certificate.json")
