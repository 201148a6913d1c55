"""When to stop: asked after every evaluation, and of a finished log."""

from __future__ import annotations

import numpy as np

from trainworthy_train.types import Curves, Stop

#: Evaluations without a better mAP after which training stops, when none is given.
PATIENCE = 10


def decide(curves: Curves, *, patience: int | None = None) -> Stop:
    """Whether training should stop after what `curves` show, why, and the step of the best weights.

    `patience` is the number of evaluations without a better mAP that are allowed.
    """
    series = curves.series.get("map50") or curves.series.get("map")
    if series is None or not np.isfinite(series.value).any():
        return Stop(should=False, why="no mAP has been logged yet, so nothing says when to stop")
    known = np.isfinite(series.value)
    steps, scores = series.step[known], series.value[known]
    best = int(np.argmax(scores))
    waited, allowed = len(scores) - 1 - best, PATIENCE if patience is None else patience
    where = f"{curves.unit} {steps[best]:g}"
    if waited >= allowed:
        return Stop(True, f"mAP has not been better than at {where} for {waited} evaluations", float(steps[best]))
    return Stop(False, f"mAP was best at {where}, {waited} evaluations ago", float(steps[best]))
