"""The progress of a probe on standard error: a line on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time

from trainworthy_train.cli.progress import StatusLine
from trainworthy_train.runs.duration import format_duration

#: Seconds between two drawings.
INTERVAL = 0.2


class ProbeProgress:
    """What is done of each part, and how long the rest of it takes."""

    def __init__(self) -> None:
        self._visible = sys.stderr.isatty()
        self._part, self._began, self._drawn = "", 0.0, 0.0
        self._line = StatusLine()

    def on_part(self, what: str, done: int, total: int) -> None:
        """Draw the line anew."""
        now = time.monotonic()
        if what != self._part:
            self._part, self._began = what, now
        if not self._visible or (now - self._drawn < INTERVAL and done < total):
            return
        self._drawn = now
        left = (now - self._began) / max(1, done) * (total - done)
        self._line.draw(f"{what} {done:,}/{total:,}  {format_duration(left)} left")

    def close(self) -> None:
        """Erase the line."""
        self._line.erase()
