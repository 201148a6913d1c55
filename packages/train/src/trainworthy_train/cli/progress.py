"""The progress of a training on standard error: a bar on a terminal, elsewhere only what is worth a line."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from trainworthy_train.runs.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.training.progress import StepProgress

#: Seconds between two drawings of the bar: often enough to look alive, seldom enough to cost nothing.
INTERVAL = 0.1

WIDTH = 24  # of the bar, characters


class StatusLine:
    """A line on standard error that is drawn anew in its place, as wide as the terminal at most."""

    def __init__(self) -> None:
        self._length = 0  # characters that stand on it

    def draw(self, text: str) -> None:
        """Show `text` in place of what stands there."""
        try:
            columns = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        except OSError:
            columns = 79
        text = text[:columns]
        sys.stderr.write(f"\r{text:<{min(self._length, columns)}}\r{text}")
        sys.stderr.flush()
        self._length = len(text)

    def erase(self) -> None:
        """Leave nothing, where anything was drawn."""
        if self._length:
            self.draw("")


class ProgressBar:
    """A bar with loss, best mAP and the time that is left."""

    def __init__(self) -> None:
        self._visible = sys.stderr.isatty()
        self._drawn_at = 0.0
        self._line = StatusLine()

    def on_step(self, progress: StepProgress) -> None:
        """Draw the bar anew; nothing where standard error is no terminal."""
        now = time.monotonic()
        done, total = progress.step, progress.total_steps
        if not self._visible or (now - self._drawn_at < INTERVAL and done < total):
            return
        self._drawn_at = now
        filled = min(WIDTH, WIDTH * done // max(1, total))
        score = "" if progress.best_map50 is None else f"  best mAP50 {progress.best_map50:.3f}"
        self._line.draw(
            f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done:,}/{total:,}  loss {progress.loss:.3g}{score}  "
            f"{format_duration(progress.seconds_left)} left"
        )

    def on_epoch(self, row: Mapping[str, Any]) -> None:
        """The bar shows it with the next step."""

    def on_message(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        self.close()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Erase the bar."""
        self._line.erase()
