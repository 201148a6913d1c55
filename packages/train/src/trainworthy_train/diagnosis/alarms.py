"""What is going wrong in a run that is still going on: `alarm`, asked after every evaluation.

Every limit here was set on the runs of `benchmarks/diagnosis.py`, which also shows what other limits would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from trainworthy_train.diagnosis.features import mean_ap
from trainworthy_train.diagnosis.indicators import CONFUSED
from trainworthy_train.diagnosis.series import finite, smooth

if TYPE_CHECKING:
    from trainworthy_train.types import Curves, Floats, Series

#: With fewer evaluations nothing is said of mAP: runs that become good start at zero, too.
MIN_EVALUATIONS = 6

#: A best mAP below this is as good as zero. At 0.06, real runs that became good raised an alarm.
NEAR_ZERO = 0.03

#: The same where the validation loss has never been clearly below its first value.
NEAR_ZERO_STUCK = 0.1

#: A loss that is lower by this share of its minimum is still falling.
STILL_FALLING = 0.05

#: The share of the planned run before which a fall of mAP may still belong to its beginning.
EARLY = 0.15

#: A validation loss over this many times its minimum has risen.
RISEN = 1.4

#: How far mAP has to fall, as a share of its best, where the validation loss has risen.
MIN_FALL = 0.04

#: How far mAP has to fall, as a share of its best, where there is no validation loss.
MIN_FALL_ALONE = 0.2

#: A smaller rise of the validation loss counts where it lasts: now it is over `LASTING` times its minimum and still
#: rises, in each of the last five evaluations it was over `LASTING_SINCE` times, and mAP fell by `LASTING_FALL`.
LASTING, LASTING_SINCE, LASTING_FALL = 1.2, 1.1, 0.08

#: A training loss over this many times its minimum, for three points, diverges.
DIVERGED = 4.0


@dataclass(frozen=True)
class Alarm:
    """What goes wrong, since which step, and how it shows."""

    kind: Literal["diverging", "not-learning", "overtraining"]
    step: float
    why: str  # without a capital letter and a full stop


def alarm(curves: Curves) -> Alarm | None:
    """What is going wrong at the last evaluation; None where nothing is."""
    found = _diverging(curves)
    metric = mean_ap(curves)
    if found or metric is None:
        return found
    return _not_learning(curves, metric) or _overtraining(curves, metric)


def _diverging(curves: Curves) -> Alarm | None:
    for name, title in (("loss", "training loss"), ("val_loss", "validation loss")):
        series = curves.series.get(name)
        if series is None or len(series.value) < 2:
            continue
        known = np.isfinite(series.value)
        # A validation loss that never was finite says nothing: 16-bit floats do this to good runs.
        if not known[-2:].any() and (name == "loss" or known.any()):
            return Alarm("diverging", float(series.step[-2]), f"the {title} became NaN or infinite")
    loss = finite(curves.series.get("loss"))
    if loss is None or len(loss.value) < 5:
        return None
    minimum = float(loss.value[:-3].min())
    if minimum > 0 and loss.value[-3:].min() > DIVERGED * minimum:
        why = f"the training loss is more than {DIVERGED:g} times its minimum"
        return Alarm("diverging", float(loss.step[-3]), why)
    return None


def _not_learning(curves: Curves, metric: Series) -> Alarm | None:
    value = metric.value
    if (since := _classes_confused_since(curves, metric)) is not None:
        return Alarm("not-learning", since, "boxes are found, but their classes are wrong")
    if len(value) < MIN_EVALUATIONS or value[-3:].mean() > 1.3 * value[-6:-3].mean() + 0.002:
        return None
    val_loss = finite(curves.series.get("val_loss"))
    loss = val_loss or finite(curves.series.get("loss"))
    first, best = float(metric.step[0]), f"mAP has not exceeded {value.max():.3f}"
    if value.max() < NEAR_ZERO and not (loss and _still_falls(loss, metric.step)):
        return Alarm("not-learning", first, f"{best}, and its loss has stopped falling")
    if value.max() < NEAR_ZERO_STUCK and val_loss and _never_fell(val_loss, metric.step):
        return Alarm("not-learning", first, f"{best}, and the validation loss has never fallen")
    return None


def _classes_confused_since(curves: Curves, metric: Series) -> float | None:
    """The step since which mAP with all classes treated as one is far above mAP; None where it is not."""
    any_class = finite(curves.series.get("map50_any_class"))
    if any_class is None:
        return None
    gap = any_class.value - np.interp(any_class.step, metric.step, metric.value)
    return float(any_class.step[-3]) if len(gap) >= MIN_EVALUATIONS and gap[-3:].min() > CONFUSED else None


def _overtraining(curves: Curves, metric: Series) -> Alarm | None:
    step, value = metric.step, metric.value
    n = len(value)
    if n < MIN_EVALUATIONS or (curves.planned and step[-1] < EARLY * curves.planned):
        return None
    curve = smooth(value)
    best = int(np.argmax(curve))
    peak, last = float(curve[best]), float(value[-3:].mean())
    noise = 1.4826 * float(np.median(np.abs(value - curve))) + 0.005
    if n - 1 - best < 3 or peak < 0.1 or peak - last < 1.5 * noise:
        return None
    if not _confirmed(curves, step, fall=(peak - last) / peak, clear=peak - last >= 2.5 * noise):
        return None
    loss = finite(curves.series.get("loss"))
    if loss is not None and _at(loss, step[-1:])[0] > _at(loss, step[best : best + 1])[0]:
        return None
    why = f"mAP fell from {peak:.3f} to {last:.3f}, while the training loss keeps falling"
    return Alarm("overtraining", float(step[best]), why)


def _confirmed(curves: Curves, step: Floats, *, fall: float, clear: bool) -> bool:
    """Whether the validation loss confirms that mAP fell by the share `fall`; without one, a clear deep fall does."""
    val_loss = finite(curves.series.get("val_loss"))
    if val_loss is None:
        return clear and fall >= MIN_FALL_ALONE
    multiple = _at(val_loss, step) / max(float(val_loss.value.min()), 1e-12)
    risen = bool(multiple[-3:].mean() >= RISEN)
    return (risen and fall >= MIN_FALL) or (clear and fall >= LASTING_FALL and _lasts(multiple))


def _lasts(multiple: Floats) -> bool:
    """Whether a loss, in multiples of its minimum, has been high for five evaluations and still rises."""
    now = multiple[-3:].mean()
    before = [multiple[-6:-3], multiple[-9:-6]]
    return bool(
        multiple[-5:].min() >= LASTING_SINCE
        and now >= LASTING
        and all(now >= part.mean() for part in before if len(part) == 3)
    )


def _at(series: Series, step: Floats) -> Floats:
    """The values of a series at these steps, interpolated."""
    return np.interp(step, series.step, series.value)


def _still_falls(loss: Series, step: Floats) -> bool:
    """Whether a loss was clearly lower in the last three evaluations than ever before."""
    value = _at(loss, step)
    before = float(value[:-3].min())
    return float(value[-3:].min()) < before - STILL_FALLING * abs(before)


def _never_fell(loss: Series, step: Floats) -> bool:
    """Whether a loss was never clearly below its first value."""
    value = _at(loss, step)
    return bool(value.min() > value[0] - STILL_FALLING * abs(value[0]))
