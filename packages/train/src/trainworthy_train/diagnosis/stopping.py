"""When to stop: asked after every evaluation, and of a finished log.

The rule estimates the chance that mAP still gains `WORTH` before the run ends, by a logistic model over what the chart
shows, and stops when that is small. Its weights, in `stopping.json`, come from real and caused histories
(`python benchmarks/diagnosis.py --fit`); there it lies inside the frontier of patience, GL and UP.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.features import mean_ap, name_of_map
from trainworthy_train.types import Curves, Stop

if TYPE_CHECKING:
    from trainworthy_train.types import Floats

#: A gain of mAP that is worth waiting for.
WORTH = 0.01

#: The chance of such a gain below which a run stops.
CHANCE = 0.25

#: An mAP below this is 0.000 where it is told: there is no best of it.
NOTHING = 0.0005

#: Where mAP ends before this share of a run that is over, nothing is said of what a longer run would gain.
COVERED = 0.8

#: The evaluations before which it never does: the diagnosis calls every shorter run too short to show a trend, and
#: that nothing is gained any more is a trend, too.
LEAST = 11

#: What the model looks at, all without unit.
NAMES = (
    "always",
    "log of the evaluations since the best",  # log(1 + n)
    "share of the run since the best",
    "recent gain",  # of mAP, of the last fifth against the fifth before, by the best mAP
    "noise of that gain",  # its standard error, by the best mAP
    "started",  # 0 while mAP is near zero, 1 from 0.1 on
    "below the best",  # how far the best of the last fifth is, by the best mAP
    "room",  # 1 less the best mAP
    "planned",  # share of the planned run; a half where the plan is unknown
)


def decide(curves: Curves, *, patience: int | None = None) -> Stop:
    """Whether training should stop after what `curves` show, why, and the step of the best weights.

    With `patience`, after so many evaluations without a better mAP; else when a better one has become unlikely.
    """
    broken = _not_finite(curves)
    over = ended(curves)
    metric = mean_ap(curves)
    if metric is None:
        why = broken or "no mAP has been logged, so nothing says when to stop"
        return Stop(bool(broken), why, over=over)
    best = int(np.argmax(metric.value))
    name, peak = name_of_map(curves), float(metric.value[best])
    at: float | None = float(metric.step[best])
    waited = len(metric.value) - 1 - best
    where = f"{name} was best at {curves.unit} {at:g}, {_ago(waited)}"
    if peak < NOTHING:
        at, where = None, f"{name} was never as much as {NOTHING:g}"
    if broken:
        return Stop(True, broken, at, over)
    if patience is not None:
        return Stop(waited >= patience, f"{where}; the patience is {patience}", at, over)
    if len(metric.value) < LEAST:
        few = f"it is too early to tell: evaluations so far: {len(metric.value)}"
        return Stop(False, f"{where}; {_all_done(curves) if over else few}", at, over)
    chance = chance_of_gain(curves)
    if over:
        seen = float(metric.step[-1]) >= COVERED * _last(curves)
        gains = "a longer run would hardly gain" if chance < CHANCE else "a longer run may still gain"
        unseen = f"of mAP after {curves.unit} {metric.step[-1]:g} the log says nothing"
        why = f"{where}; {_all_done(curves)}{f': {gains}' if seen else f', but {unseen}'}"
        return Stop(seen and chance < CHANCE, why, at, over)
    gain = (
        f"the chance that this best, {peak:.3f}, still rises by {WORTH:g} before the run ends is {chance:.0%}"
    )
    return Stop(chance < CHANCE, f"{where}; {gain}", at)


def ended(curves: Curves) -> bool:
    """Whether the run did all that was planned, or its trainer wrote that it was done."""
    planned = curves.planned
    return bool(curves.facts.get("finished")) or (planned is not None and _last(curves) >= planned > 0)


def _last(curves: Curves) -> float:
    return max((float(series.step[-1]) for series in curves.series.values() if len(series.step)), default=0.0)


def _all_done(curves: Curves) -> str:
    planned = (
        f"all {curves.planned:g} planned {curves.unit}s are done" if curves.planned else "the run is done"
    )
    return planned if not curves.facts.get("finished") else "the run is done"


def _ago(evaluations: int) -> str:
    if evaluations == 0:
        return "at the last evaluation"
    return f"{evaluations} evaluation{'s' if evaluations > 1 else ''} ago"


def chance_of_gain(curves: Curves) -> float:
    """The chance, 0..1, that mAP still gains `WORTH` before the run ends. Needs an evaluation."""
    return float(1 / (1 + np.exp(-(outlook(curves) @ fitted()))))


@functools.cache
def fitted() -> Floats:
    """The weights of `stopping.json`, in the order of `NAMES`."""
    file = resources.files("trainworthy_train.diagnosis") / "stopping.json"
    known = json.loads(file.read_text("utf-8"))
    return np.array([known[name] for name in NAMES])


def outlook(curves: Curves) -> Floats:
    """What the model looks at, in the order of `NAMES`, at the last evaluation. Needs one."""
    metric = mean_ap(curves)
    assert metric is not None
    step, value = metric.step, metric.value
    n = len(value)
    few = max(3, n // 5)
    recent, earlier = value[-few:], value[-2 * few : -few] if n > few else value[:1]
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


def _not_finite(curves: Curves) -> str:
    """What is said of a run whose training loss has stopped being a number; "" of any other."""
    loss = curves.series.get("loss")
    if loss is None or len(loss.value) < 3 or np.isfinite(loss.value[-3:]).any():
        return ""
    lost = (
        len(loss.value) - int(np.argmax(np.isfinite(loss.value[::-1])))
        if np.isfinite(loss.value).any()
        else 0
    )
    return f"the training loss is no finite number since {curves.unit} {loss.step[lost]:g}"
