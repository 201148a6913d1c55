"""How a training is going, on standard error: a bar where somebody watches, else only what is worth a line."""

from __future__ import annotations

import math
import os
import sys
import time

#: Seconds between two drawings of the bar: often enough to look alive, seldom enough to cost nothing.
EVERY = 0.1

WIDTH = 24


class Bar:
    """A bar with loss, mAP and the time that is left."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._drawn = 0.0
        self._length = 0

    def step(self, done: int, total: int, loss: float, map50: float | None, left: float) -> None:
        """Draw the bar anew; nothing where nobody watches."""
        now = time.monotonic()
        if not self._shown or (now - self._drawn < EVERY and done < total):
            return
        self._drawn = now
        full = min(WIDTH, WIDTH * done // max(1, total))
        score = "" if map50 is None else f"  best mAP50 {map50:.3f}"
        text = f"[{'#' * full}{'.' * (WIDTH - full)}] {done:,}/{total:,}  loss {loss:.3g}{score}  {clock(left)} left"
        self._put(text)

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        self.close()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._length:
            self._put("")
            self._length = 0

    def _put(self, text: str) -> None:
        try:
            room = max(20, os.get_terminal_size(sys.stderr.fileno()).columns - 1)
        except OSError:
            room = 79
        text = text[:room]
        sys.stderr.write(f"\r{text:<{min(self._length, room)}}\r{text}")
        sys.stderr.flush()
        self._length = len(text)


class Silence:
    """For the processes beside the first, and for whoever calls the loop without wanting to be told."""

    def step(self, done: int, total: int, loss: float, map50: float | None, left: float) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def clock(seconds: float) -> str:
    """'0:42', '12:03' or '1:02:03'."""
    if not math.isfinite(seconds):
        return "?"
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
