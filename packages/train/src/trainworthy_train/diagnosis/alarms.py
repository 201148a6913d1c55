"""What to be told while a run is still going on: `alarm`. Asked after every evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from trainworthy_train.diagnosis.features import mean_ap, smooth
from trainworthy_train.diagnosis.patterns.sign import CONFUSED

if TYPE_CHECKING:
    from trainworthy_train.types import Curves, Floats, Series

#: Evaluations before which nothing is said of mAP: runs that become good start at zero, too.
LEAST = 6

#: A best mAP that counts as nothing. At 0.06, real runs that became good raised an alarm.
NOTHING = 0.03

#: A best mAP that counts as nothing where the validation loss has never been clearly below its first.
NOTHING_STUCK = 0.1

#: A loss that is lower by this share of its least is still falling.
FALLING = 0.05

#: Share of the planned run before which a fall of mAP may still be a beginning.
EARLY = 0.15

#: A validation loss over so many times its least has risen. `benchmarks/diagnosis.py` shows what other limits do.
RISEN = 1.4

#: How far mAP has to fall, as a share of its best: where the validation loss has risen, and where none is known.
FALL, FALL_ALONE = 0.04, 0.2

#: A validation loss that has risen by less is enough where it lasts: it was over `LIFTED` times its least in each of
#: the last five evaluations, is over `LASTING` times it now, and still rises. mAP then has to have fallen by `CLEAR`.
LASTING, LIFTED, CLEAR = 1.2, 1.1, 0.08

#: A training loss over so many times its least is diverging, where it stays there for three points.
DIVERGED = 4.0


@dataclass(frozen=True)
class Alarm:
    """What goes wrong, since which step, and how it shows."""

    kind: Literal["diverging", "not-learning", "overtraining"]
    step: float
    why: str


def alarm(curves: Curves) -> Alarm | None:
    """What is wrong at the last evaluation; None where nothing is."""
    metric = mean_ap(curves)
    return _diverging(curves) or (
        _not_learning(curves, metric) or _overtraining(curves, metric) if metric else None
    )


def _diverging(curves: Curves) -> Alarm | None:
    for name in ("loss", "val_loss"):
        series = curves.series.get(name)
        if series is None or len(series.value) < 2:
            continue
        finite = np.isfinite(series.value)
        # A validation loss that never was a number says nothing: 16-bit arithmetic does this to good runs.
        if not finite[-2:].any() and (name == "loss" or finite.any()):
            return Alarm("diverging", float(series.step[-2]), f"{name} is no finite number")
    loss = _known(curves.series.get("loss"))
    if loss is None or len(loss[1]) < 5:
        return None
    step, value = loss
    least = float(value[:-3].min())
    if least > 0 and value[-3:].min() > DIVERGED * least:
        return Alarm("diverging", float(step[-3]), f"the training loss is over {DIVERGED:g} times its least")
    return None


def _not_learning(curves: Curves, metric: Series) -> Alarm | None:
    value = metric.value
    probe = _known(curves.series.get("map50_any_class"))
    gap = probe[1] - np.interp(probe[0], metric.step, value) if probe is not None else np.zeros(0)
    if probe is not None and len(gap) >= LEAST and gap[-3:].min() > CONFUSED:
        return Alarm("not-learning", float(probe[0][-3]), "boxes are found, but their classes are wrong")
    if len(value) < LEAST or value[-3:].mean() > 1.3 * value[-6:-3].mean() + 0.002:
        return None
    val_loss, loss = _known(curves.series.get("val_loss")), _known(curves.series.get("loss"))
    judged = val_loss or loss
    best = f"mAP has not been over {value.max():.3f}"
    if value.max() < NOTHING and not (judged and _improves(judged, metric.step)):
        return Alarm("not-learning", float(metric.step[0]), f"{best}, and its loss has stopped falling")
    if value.max() < NOTHING_STUCK and val_loss and _stuck(val_loss, metric.step):
        return Alarm(
            "not-learning", float(metric.step[0]), f"{best}, and the validation loss has never fallen"
        )
    return None


def _overtraining(curves: Curves, metric: Series) -> Alarm | None:
    step, value = metric.step, metric.value
    n = len(value)
    late = n >= LEAST and not (curves.planned and step[-1] < EARLY * curves.planned)
    if not late:
        return None
    curve = smooth(value)
    best = int(np.argmax(curve))
    noise = 1.4826 * float(np.median(np.abs(value - curve))) + 0.005
    peak, last = float(curve[best]), float(value[-3:].mean())
    doubted = _known(curves.series.get("val_loss"))
    fall = peak - last
    if n - 1 - best < 3 or peak < 0.1 or fall < 1.5 * noise:
        return None
    clear = fall >= 2.5 * noise
    if doubted is None:
        confirmed = clear and fall >= FALL_ALONE * peak
    else:
        risen = np.interp(step, *doubted) / max(float(doubted[1].min()), 1e-12)
        confirmed = (fall >= FALL * peak and risen[-3:].mean() >= RISEN) or (
            clear and fall >= CLEAR * peak and _lasts(risen)
        )
    if not confirmed:
        return None
    loss = _known(curves.series.get("loss"))
    if loss is not None and np.interp(step[-1], *loss) > np.interp(step[best], *loss):
        return None
    return Alarm(
        "overtraining",
        float(step[best]),
        f"mAP fell from {peak:.3f} to {last:.3f}, and the loss goes on falling",
    )


def _known(series: Series | None) -> tuple[Floats, Floats] | None:
    if series is None:
        return None
    known = np.isfinite(series.value)
    return (series.step[known], series.value[known]) if known.any() else None


def _improves(loss: tuple[Floats, Floats], step: Floats) -> bool:
    """Whether a loss was clearly lower in the last three evaluations than ever before."""
    value = np.interp(step, *loss)
    before = float(value[:-3].min())
    return float(value[-3:].min()) < before - FALLING * abs(before)


def _stuck(loss: tuple[Floats, Floats], step: Floats) -> bool:
    """Whether a loss was never clearly below its first value."""
    value = np.interp(step, *loss)
    return bool(value.min() > value[0] - FALLING * abs(value[0]))


def _lasts(risen: Floats) -> bool:
    """Whether a loss, in multiples of its least, has been high for five evaluations and still rises."""
    now = risen[-3:].mean()
    before = [risen[-6:-3], risen[-9:-6]]
    return bool(
        risen[-5:].min() >= LIFTED
        and now >= LASTING
        and all(now >= part.mean() for part in before if len(part) == 3)
    )
