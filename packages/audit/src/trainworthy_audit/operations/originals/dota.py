"""The corners of DOTA's rows again, of which the columns hold the upright boxes."""

from __future__ import annotations

from trainworthy_audit.formats.shared import dota_rows
from trainworthy_audit.formats.shared.malformed import MalformedError


def corners(row: str) -> list[list[float]] | None:
    """[[x, y, x, y, x, y, x, y]] in pixels; None where the row cannot be read."""
    try:
        return [list(dota_rows.parse(row).corners)]
    except MalformedError:
        return None
