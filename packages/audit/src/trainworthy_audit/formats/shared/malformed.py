"""The one exception of the readers' parts: it never leaves a reader."""

from __future__ import annotations


class MalformedError(ValueError):
    """A value, row or element that cannot be read. The message is the reason, as A001 shows it."""
