"""The commands that messages about a dataset suggest."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainworthy_audit.source import Source


def audit_command(source: Source, *options: str) -> str:
    """The command that audits this source, its images left out as they are now, with further options."""
    alone = ("--no-images",) if source.annotations_only and not source.is_file else ()
    return shlex.join(["trainworthy", "audit", str(source.path), *options, *alone])
