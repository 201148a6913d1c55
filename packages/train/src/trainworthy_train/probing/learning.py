"""Whether more images help: mAP@50 over nested shares of the images, and a power law through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.types import Forecast, LearningPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.types import Array

#: Exponents of power laws that are tried: published learning curves of detectors fall between them.
EXPONENTS = np.linspace(0.1, 1.2, 23)
#: The spread of a figure that is measured on few images, at least.
LEAST_SPREAD = 0.005


def point(images: int, figures: Sequence[float]) -> LearningPoint:
    """A point from figures (the first on all held-out images, the others on drawn ones)."""
    drawn = np.array(figures[1:]) if len(figures) > 1 else np.array(figures)
    low, high = np.quantile(drawn, [0.05, 0.95])
    return LearningPoint(images, float(figures[0]), float(min(low, figures[0])), float(max(high, figures[0])))


def forecast(points: Sequence[LearningPoint], more: int, seed: int) -> Forecast | None:
    """What `more` images would bring, with an interval of nine in ten; None of fewer than three points.

    The figure is ceiling - slope * images**-exponent. All exponents are fitted to the points, and to points drawn
    within their own intervals; what they expect is the median, and the interval theirs.
    """
    if len(points) < 3:
        return None
    rng = np.random.default_rng([seed, 11])
    images = np.array([one.images for one in points], float)
    figures = np.array([one.map50 for one in points])
    spread = np.maximum([(one.high - one.low) / 3.3 for one in points], LEAST_SPREAD)
    goal = images[-1] + more
    expected = []
    for draw in range(200):
        drawn = figures + (rng.normal(size=len(points)) * spread if draw else 0)
        expected += _expected(images, drawn, spread, goal)
    last = figures[-1]
    values, weights = np.array([one[0] for one in expected]), np.array([one[1] for one in expected])
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    low, middle, high = (
        float(values[order][np.searchsorted(share, at).clip(0, len(order) - 1)]) for at in (0.05, 0.5, 0.95)
    )
    return Forecast(more, max(middle, 0.0), max(0.0, min(low, last)), min(1.0, max(high, last)))


def _expected(images: Array, figures: Array, spread: Array, goal: float) -> list[tuple[float, float]]:
    """(what is expected at `goal`, how well it fits) for each exponent; more images never make it worse."""
    found = []
    for exponent in EXPONENTS:
        x = images**-exponent
        design = np.stack([np.ones_like(x), -x], 1) / spread[:, None]
        (ceiling, slope), *_ = np.linalg.lstsq(design, figures / spread, rcond=None)
        if slope < 0:
            ceiling, slope = float(np.average(figures, weights=spread**-2)), 0.0
        misfit = float((((ceiling - slope * x - figures) / spread) ** 2).sum())
        found.append((min(1.0, ceiling - slope * goal**-exponent), float(np.exp(-0.5 * misfit))))
    return found
