"""When to stop: asked after every evaluation, and of a finished log.

The rule estimates the chance that mAP still gains `MIN_GAIN` before the run ends, by a logistic regression on what the
chart shows, and stops when that chance is small. Its weights, in `stopping.json`, come from real runs and from runs
with known causes (`python benchmarks/diagnosis.py --fit`), on which it is also compared with patience, GL and UP.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.features import map_title, mean_ap
from trainworthy_train.types import Curves, Stop

if TYPE_CHECKING:
    from trainworthy_train.types import Floats

#: A gain of mAP that is worth waiting for.
MIN_GAIN = 0.01

#: The chance of such a gain below which a run stops.
MIN_CHANCE = 0.25

#: An mAP below this is printed as 0.000: it is not reported as a best.
ZERO_MAP = 0.0005

#: If the mAP of a finished run was logged for less than this share of it, nothing is said of a longer run.
COVERED = 0.8

#: A run never stops with fewer evaluations: the diagnosis calls every shorter run too short to show a trend, and that
#: nothing is gained any more is a trend too.
MIN_EVALUATIONS = 11

#: The inputs of the regression, all without unit.
INPUTS = (
    "always",  # 1, the constant
    "log of the evaluations since the best",  # log(1 + n)
    "share of the run since the best",
    "recent gain",  # of mAP, of the last fifth against the fifth before, over the best mAP
    "noise of that gain",  # its standard error, over the best mAP
    "started",  # 0 while mAP is near zero, 1 from 0.1 on
    "below the best",  # how far the best of the last fifth is below the best mAP, over the best mAP
    "room",  # 1 minus the best mAP
    "planned",  # share of the planned run that is done; 0.5 where the plan is unknown
)


def decide(curves: Curves, *, patience: int | None = None) -> Stop:
    """Whether training should stop after what `curves` show, why, and the step of the best weights.

    With `patience`, after so many evaluations without a better mAP; else when a better one has become unlikely.
    """
    broken = _never_finite_again(curves)
    over = ended(curves)
    metric = mean_ap(curves)
    if metric is None:
        reason = broken or "no mAP has been logged, so nothing says when to stop"
        return Stop(bool(broken), reason, over=over)
    best = int(np.argmax(metric.value))
    peak = float(metric.value[best])
    at: float | None = float(metric.step[best])
    waited = len(metric.value) - 1 - best
    where = f"{map_title(curves)} was best at {curves.unit} {at:g}, {_ago(waited)}"
    if peak < ZERO_MAP:
        at, where = None, f"{map_title(curves)} never reached {ZERO_MAP:g}"
    if broken:
        return Stop(True, broken, at, over)
    if patience is not None:
        return Stop(waited >= patience, f"{where}; the patience is {patience}", at, over)
    if len(metric.value) < MIN_EVALUATIONS:
        early = f"too early to tell: {len(metric.value)} of at least {MIN_EVALUATIONS} evaluations"
        return Stop(False, f"{where}; {_completion(curves) if over else early}", at, over)
    chance = chance_of_gain(curves)
    if over:
        return _decide_finished(curves, chance, where, at)
    gain = f"the chance that this best of {peak:.3f} still rises by {MIN_GAIN:g} before the run ends is {chance:.0%}"
    return Stop(chance < MIN_CHANCE, f"{where}; {gain}", at)


def _decide_finished(curves: Curves, chance: float, where: str, at: float | None) -> Stop:
    """What is said of a run that is over: whether a longer one would gain, where its log shows that."""
    metric = mean_ap(curves)
    assert metric is not None
    if float(metric.step[-1]) < COVERED * _last_step(curves):
        unknown = f"but the log has no mAP after {curves.unit} {metric.step[-1]:g}"
        return Stop(False, f"{where}; {_completion(curves)}, {unknown}", at, over=True)
    saturated = chance < MIN_CHANCE
    outlook = "a longer run would hardly gain" if saturated else "a longer run may still gain"
    return Stop(saturated, f"{where}; {_completion(curves)}: {outlook}", at, over=True)


def ended(curves: Curves) -> bool:
    """Whether the run did all that was planned, or its trainer logged that it was done."""
    planned = curves.planned
    return bool(curves.facts.get("finished")) or (planned is not None and _last_step(curves) >= planned > 0)


def _last_step(curves: Curves) -> float:
    return max((float(series.step[-1]) for series in curves.series.values() if len(series.step)), default=0.0)


def _completion(curves: Curves) -> str:
    """How the run came to its end."""
    if curves.facts.get("finished") or not curves.planned:
        return "the run is finished"
    return f"all {curves.planned:g} planned {curves.unit}s are done"


def _ago(evaluations: int) -> str:
    if evaluations == 0:
        return "at the last evaluation"
    return f"{evaluations} evaluation{'s' if evaluations > 1 else ''} ago"


def _never_finite_again(curves: Curves) -> str:
    """That the training loss became NaN or infinite, for three points at least; "" where it did not."""
    loss = curves.series.get("loss")
    if loss is None or len(loss.value) < 3 or np.isfinite(loss.value[-3:]).any():
        return ""
    known = np.flatnonzero(np.isfinite(loss.value))
    first = int(known[-1]) + 1 if len(known) else 0
    return f"the training loss has been NaN or infinite since {curves.unit} {loss.step[first]:g}"


# ------------------------------------------------------------------------------------------------------------
# The model


def chance_of_gain(curves: Curves) -> float:
    """The chance, 0..1, that mAP still gains `MIN_GAIN` before the run ends. Needs an evaluation."""
    return float(1 / (1 + np.exp(-(inputs(curves) @ fitted_weights()))))


@functools.cache
def fitted_weights() -> Floats:
    """The weights of `stopping.json`, in the order of `INPUTS`."""
    file = resources.files("trainworthy_train.diagnosis") / "stopping.json"
    weights = json.loads(file.read_text("utf-8"))
    return np.array([weights[name] for name in INPUTS])


def inputs(curves: Curves) -> Floats:
    """The inputs of the model, in the order of `INPUTS`, at the last evaluation. Needs one."""
    metric = mean_ap(curves)
    assert metric is not None
    step, value = metric.step, metric.value
    n = len(value)
    fifth = max(3, n // 5)
    recent, earlier = value[-fifth:], value[-2 * fifth : -fifth] if n > fifth else value[:1]
    best = int(np.argmax(value))
    peak = float(value[best])
    scale = max(peak, 0.05)
    waited = n - 1 - best
    error = np.sqrt(recent.var() / len(recent) + earlier.var() / len(earlier))
    return np.array([
        1.0,
        np.log1p(waited),
        waited / n,
        np.clip((recent.mean() - earlier.mean()) / scale, -1, 1),
        np.clip(error / scale, 0, 1),
        1 / (1 + np.exp(np.clip((0.06 - peak) / 0.02, -40, 40))),
        (peak - recent.max()) / scale,
        1 - peak,
        min(1.5, float(step[-1]) / curves.planned) if curves.planned else 0.5,
    ])  # fmt: skip
