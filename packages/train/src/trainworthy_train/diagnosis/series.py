"""Series without their noise, and the values that stand out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainworthy_train.types import Series

if TYPE_CHECKING:
    from trainworthy_train.types import Floats

    Hits = np.ndarray[Any, np.dtype[np.bool_]]

#: The standard deviation of a normal distribution over its median absolute deviation.
DEVIATION = 1.4826

#: A drop of mAP below this is hardly visible on a chart from 0 to 1, and is no collapse.
VISIBLE_DROP = 0.08

#: From this many evaluations on, spikes and collapses are looked for.
ENOUGH_FOR_SPIKES = 8

#: A swing is a fall of mAP by this share of its level, and a rise by as much after it.
SWING = 0.3


def finite(series: Series | None) -> Series | None:
    """The points whose values are finite; None where there are none."""
    if series is None:
        return None
    known = np.isfinite(series.value)
    return Series(series.step[known], series.value[known]) if known.any() else None


def smooth(values: Floats) -> Floats:
    """Values (n,) without their noise: a running median, then a running mean, over a twelfth of the run."""
    n = len(values)
    if n < 6:
        return values
    width = 3 if n < 36 else n // 12 | 1
    medians: Floats = np.median(windows(values, width), axis=1)
    means: Floats = np.mean(windows(medians, width), axis=1)
    return means


def windows(values: Floats, width: int) -> Floats:
    """Each value and its neighbours (n, width), reflected at the ends; `width` is odd, below 2 n."""
    half = width // 2
    padded = np.concatenate([values[half:0:-1], values, values[-2 : -2 - half : -1]])
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def _surroundings(values: Floats) -> Floats:
    """Each value's surroundings (n, width): seven evaluations, or an eighth of a long run."""
    return windows(values, max(7, len(values) // 8) | 1)


def _preceding(values: Floats) -> Floats:
    """The values before each value (n, width): four, or a twelfth of a long run."""
    width = max(4, len(values) // 12)
    padded = np.concatenate([np.full(width, values[0]), values[:-1]])
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def averaged(series: Series | None, metric: Series | None) -> Series | None:
    """A loss that was logged far more often than the mAP, averaged over blocks: as many as make a readable curve."""
    if series is None or not len(series.value):
        return None
    blocks = max(60, 0 if metric is None else len(metric.value))
    if len(series.value) <= 1.5 * blocks:
        return series
    edges = np.linspace(0, len(series.value), blocks + 1).astype(int)[:-1]
    counts = np.diff(np.append(edges, len(series.value)))
    return Series(np.maximum.reduceat(series.step, edges), np.add.reduceat(series.value, edges) / counts)


def collapsed(value: Floats) -> Hits:
    """Which mAPs (n,) are below 0.7 of what they are before and after, and lower by `VISIBLE_DROP`."""
    before, after = _preceding(value), _preceding(value[::-1])[::-1]
    around = np.minimum(np.percentile(before, 75, axis=1), np.percentile(after, 75, axis=1))
    hits: Hits = (value < 0.7 * around) & (around - value > VISIBLE_DROP)
    return hits


def spiked(value: Floats) -> Hits:
    """Which losses (n,) are more than 1.25 times the median of those around them, or not finite."""
    every = np.where(np.isfinite(value), value, np.inf)
    hits: Hits = every > 1.25 * np.median(_surroundings(every), axis=1)
    return hits


def swings(value: Floats) -> list[tuple[int, int]]:
    """Each fall of mAP (n,) by a swing that lasts, and from which it came back as far: (last high, lowest place)."""
    size = max(SWING * float(np.percentile(value, 95)), VISIBLE_DROP)
    steady: Floats = np.median(windows(value, 3), axis=1)
    found = []
    top = bottom = 0
    falling = False
    for place, now in enumerate(steady):
        if not falling:
            if now >= steady[top]:
                top = place
            elif steady[top] - now >= size:
                falling, bottom = True, place
        elif now <= steady[bottom]:
            bottom = place
        elif now - steady[bottom] >= size:
            found.append((top, bottom))
            falling, top = False, place
    return found
