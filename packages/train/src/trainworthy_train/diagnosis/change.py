"""Whether a curve turned: the change-point after its best stretch, how large the change is, and whether noise makes it.

The best stretch is compared with the end of the run. The difference has a standard error, from the scatter of single
evaluations around the smoothed curve in either, and from how far neighbours scatter together; the probability that
noise makes such a difference is corrected for the number of stretches that the best was chosen from (Bonferroni).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.series import DEVIATION

if TYPE_CHECKING:
    from trainworthy_train.types import Floats

#: Scatter below this share of the level is the rounding of what is logged: it is not taken for precision.
LEAST_SCATTER = 0.004

#: Neighbours that scatter together more than this are taken to do so no more: a longer memory is a trend.
MOST_MEMORY = 0.6

#: No change is reported as less probable by chance than this.
LEAST_PROBABLE = 1e-12


@dataclass(frozen=True)
class Turn:
    """A curve's best stretch, its end, and how they differ. Places are indices into the curve."""

    first: int  # the best stretch is value[first : last + 1]
    last: int
    tail: int  # the end is value[tail :]
    before: float  # median of the best stretch
    after: float  # median of the end
    scatter: float  # standard deviation of single evaluations around the smoothed curve, in the last third
    probability: float  # that noise alone makes the end so much worse, 0..1

    @property
    def worse(self) -> float:
        """How far the end is from the best stretch, in the curve's unit, never negative."""
        return abs(self.after - self.before)

    @property
    def significance(self) -> float:
        """How many decimal places the probability has: 3 is one in a thousand."""
        return -math.log10(max(self.probability, LEAST_PROBABLE))


def turn(value: Floats, smoothed: Floats, *, highest: bool) -> Turn:
    """The turn of a curve (n,) whose best is its highest (or its lowest) stretch; n is 3 or more."""
    n = len(value)
    width, tail = max(3, n // 12), max(3, n // 6)
    windows = np.lib.stride_tricks.sliding_window_view(value if highest else -value, min(width, n))
    medians = np.median(windows, axis=1)
    first = int(np.argmax(medians))
    last = min(first + width, n) - 1
    before, after = float(np.median(value[first : last + 1])), float(np.median(value[-tail:]))
    residual = value - smoothed
    level = float(np.abs(value[first:]).max(initial=0.0))
    # Noise shrinks with the learning rate: the end is judged by its own scatter, each stretch's error by its own.
    scatter = _scatter(residual[-max(tail, n // 3) :], level)
    around = _scatter(residual[max(0, first - width) : last + 1 + width], level)
    worse = before - after if highest else after - before
    if last >= n - tail:
        worse = 0.0  # the best stretch is the end itself: noise within it is no turn
    error = _memory(residual) * math.hypot(around / math.sqrt(width), scatter / math.sqrt(tail))
    chance = math.erfc(worse / error / math.sqrt(2)) / 2 * max(1, n // width) if error > 0 else 1.0
    if worse <= 0:
        return Turn(first, last, n - tail, before, before, scatter, 1.0)
    return Turn(first, last, n - tail, before, after, scatter, min(1.0, chance))


def _scatter(residual: Floats, level: float) -> float:
    """The standard deviation of evaluations around the smoothed curve, without outliers."""
    return max(DEVIATION * float(np.median(np.abs(residual))), LEAST_SCATTER * level)


def _memory(residual: Floats) -> float:
    """By what factor a mean's standard error grows because neighbours scatter together; 1 where they do not."""
    power = float(residual @ residual)
    together = float(residual[1:] @ residual[:-1]) / power if power > 0 else 0.0
    together = min(max(together, 0.0), MOST_MEMORY)
    return math.sqrt((1 + together) / (1 - together))
