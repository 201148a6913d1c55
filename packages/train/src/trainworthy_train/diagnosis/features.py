"""What is measured on a run's curves: a few numbers, each of which a person can check on the chart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.change import turn
from trainworthy_train.diagnosis.series import (
    DEVIATION,
    ENOUGH_FOR_SPIKES,
    averaged,
    collapsed,
    finite,
    smooth,
    spiked,
    swings,
)
from trainworthy_train.types import Curves, Series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.types import Floats

#: Every feature, with its meaning and unit. NaN stands where the log does not tell.
FEATURES = {
    "evaluations": "evaluations that gave an mAP",
    "points": "logged values of the training loss, averaged over blocks where there are many more than evaluations",
    "level": "median mAP of the last sixth of the run, 0..1",
    "peak": "best smoothed mAP, 0..1",
    "start": "mAP of the first evaluations, 0..1",
    "gain": "best smoothed mAP minus the mAP of the first evaluations, 0..1",
    "reached": "share of the run until the smoothed mAP first came within a tenth of its best, 0..1",
    "rising": "gain of the smoothed mAP in the last third of the run, as a share of its best",
    "late_rising": "gain of the smoothed mAP from the last sixth but one to the last sixth, as a share of its best",
    "noise": "median deviation of mAP from the smoothed mAP, as a share of its best",
    "decline": "fall of mAP from its best stretch to the last sixth of the run (medians), as a share of that best",
    "decline_points": "the same in mAP, 0..1",
    "since_best": "share of the run after the best stretch of mAP, 0..1",
    "decline_noise": "the same in standard deviations of single evaluations",
    "decline_significance": "decimal places of the probability that noise makes such a decline",
    "decline_clear": "the decline in multiples of one that is just clear: see `CLEAR_SHARE` and `LEAST_DECLINE`",
    "swings": "falls of mAP by 0.3 of its level or more, after the first sixth, from which it came back as far",
    "swing_share": "the same, as a share of the evaluations",
    "last_swing": "share of the run until the lowest place of the last of these, 0..1",
    "loss_fall": "fall of the training loss over the run, as a share of its first value",
    "late_fall": "fall of the training loss in the second half of the run, as a share of its range",
    "fall_after_best": "fall of the training loss after the best mAP, as a share of the loss there",
    "loss_noise": "median deviation of the training loss from the smoothed loss, as a share of it",
    "loss_ratio_growth": "validation loss over training loss at the end, divided by the same ratio at the beginning",
    "val_turn": "rise of the validation loss from its lowest stretch to the last sixth (medians), as a share",
    "val_turn_significance": "decimal places of the probability that noise makes such a rise",
    "val_fall": "fall of the validation loss over the run, as a share of its first value",
    "collapses": "share of evaluations, after the first sixth, whose mAP is below 0.7 of it before and after",
    "val_spikes": "share of validation losses, after the first sixth, over 1.25 of their surroundings or not finite",
    "loss_spikes": "share of training losses, after the first sixth, over 1.25 of their surroundings",
    "instability": "the largest of the noises and spikes above, each as a multiple of its entry in `NOTICEABLE`",
    "not_finite": "share of training losses that are NaN or infinite",
    "blow_up": "last finite training loss before it became NaN or infinite for good, over the least before it",
    "blow_up_steps": "share of the last three steps before that at which it rose, 0..1: 1 is steady growth",
    "zero_loss": "1 where the losses of boxes are exactly 0 throughout: no labels were loaded",
    "any_class_gap": "mAP with all classes treated as one minus mAP, at the end",
    "train_gap": "mAP on training images minus mAP on validation images, at the end",
    "train_level": "mAP on training images at the end",
}

#: mAP at IoU 0.5 over mAP at IoU 0.5 to 0.95: the median of the real logs that have both.
MAP50_OVER_MAP = 1.6

#: The noise or share of spikes from which it is noticeable on a chart: few healthy runs reach it.
NOTICEABLE = {"noise": 0.06, "loss_noise": 0.07, "collapses": 0.1, "val_spikes": 0.08, "loss_spikes": 0.1}

#: A loss that changes by less than this share of itself over a run is constant: no share of that range is measured.
CONSTANT_LOSS = 0.001

#: Changes of a loss are clipped to this many times the loss: near a loss of zero, larger shares mean nothing.
MAX_CHANGE = 10.0

#: The ratio of validation to training loss is taken to grow or shrink by no more than this factor.
MAX_RATIO_GROWTH = 100.0

#: A decline of mAP is clear from this share of its best and this many deviations of single evaluations on. A larger
#: share makes up for fewer deviations, and the other way round: their geometric mean counts.
CLEAR_SHARE, CLEAR_NOISE = 0.05, 3.5

#: A decline that is smaller than this, as a share or in mAP, or that noise makes more often (decimal places of the
#: probability), is not clear whatever else it is.
LEAST_DECLINE = {"decline": 0.04, "decline_points": 0.025, "decline_significance": 4.0}


@dataclass(frozen=True)
class Features:
    """The numbers of `FEATURES` and of an audit's facts, and the steps (first, last) that each is about."""

    values: Mapping[str, float] = field(default_factory=dict)
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    series: Mapping[str, str] = field(default_factory=dict)  # which mAP the decline is of

    def __getitem__(self, name: str) -> float:
        """The value of the feature, NaN where it is unknown."""
        return self.values.get(name, np.nan)


def measure(curves: Curves, facts: Mapping[str, float] | None = None) -> Features:
    """The features of one run; the `facts` of an audit (`audit_facts.FACTS`) are features too."""
    values: dict[str, float] = dict(facts or {})
    spans: dict[str, tuple[float, float]] = {}
    metric = mean_ap(curves)
    end = augmentation_end(curves)
    fallen = ""
    if metric is not None:
        _measure_map(metric, values, spans)
        fallen = _measure_decline(curves, end, values, spans)
    else:
        values["evaluations"] = 0.0
    loss = averaged(curves.series.get("loss"), metric)
    if loss is not None:
        _measure_loss(loss, end, metric, values, spans)
    val_loss = averaged(curves.series.get("val_loss"), metric)
    if val_loss is not None:
        _measure_val_loss(val_loss, end, values, spans)
    if loss is not None and val_loss is not None:
        values["loss_ratio_growth"] = _loss_ratio_growth(loss, val_loss, end)
    if metric is not None:
        multiples = [values.get(name, np.nan) / limit for name, limit in NOTICEABLE.items()]
        values["instability"] = float(np.nanmax(multiples))
    values["zero_loss"] = float(_no_labels(curves))
    _measure_probes(curves, values)
    return Features(values, spans, {"decline": fallen} if fallen else {})


# ------------------------------------------------------------------------------------------------------------
# Which mAP


def logged_map(curves: Curves) -> str:
    """Which mAP the log holds: "map50", else "map", else ""."""
    return next((name for name in ("map50", "map") if finite(curves.series.get(name)) is not None), "")


def mean_ap(curves: Curves) -> Series | None:
    """The run's mAP at IoU 0.5, 0..1; estimated where the log has only mAP at IoU 0.5 to 0.95. None without any."""
    name = logged_map(curves)
    series = finite(curves.series.get(name))
    if series is None:
        return None
    factor = 1.0 if name == "map50" else MAP50_OVER_MAP
    return Series(series.step, np.clip(series.value * factor, 0.0, 1.0))


def map_title(curves: Curves) -> str:
    """What sentences call the mAP that `mean_ap` returns."""
    return {"map50": "mAP@50", "map": "estimated mAP@50"}.get(logged_map(curves), "mAP")


# ------------------------------------------------------------------------------------------------------------
# Series


def augmentation_end(curves: Curves) -> float:
    """The step from which mosaic was switched off, which moves every loss; infinite where it never was."""
    step = curves.facts.get("mosaic_off")
    return float(step) if step is not None else np.inf


def _augmented(step: Floats, end: float) -> int:
    """How many points came before augmentation was switched off; all of them, where those are the smaller part."""
    before = int((step < end).sum())
    return before if before >= max(8, len(step) / 2) else len(step)


def _change(difference: float, base: float) -> float:
    """A difference as a share of `base`, of either sign, clipped to `MAX_CHANGE`."""
    return float(np.clip(difference / max(abs(base), 1e-12), -MAX_CHANGE, MAX_CHANGE))


def _count(
    hits: np.ndarray, step: Floats, name: str, values: dict[str, float], spans: dict[str, tuple[float, float]]
) -> None:
    """Set the feature to the share of hits after the first sixth, and its span to the steps of the first and last."""
    early = len(hits) // 6
    late = np.flatnonzero(hits[early:]) + early
    values[name] = len(late) / (len(hits) - early)
    if len(late):
        spans[name] = (float(step[late[0]]), float(step[late[-1]]))


# ------------------------------------------------------------------------------------------------------------
# Groups of features


def _measure_map(metric: Series, values: dict[str, float], spans: dict[str, tuple[float, float]]) -> None:
    step, value = metric.step, metric.value
    n = len(value)
    curve = smooth(value)
    peak = float(curve.max())
    scale = max(peak, 0.02)
    tail = max(min(3, n), n // 6)
    third, sixth, twelfth = max(1, n // 3), max(1, n // 6), max(1, n // 12)
    near = int(np.argmax(curve >= 0.9 * peak))
    first = float(np.median(value[: max(1, n // 20)]))
    rising = late_rising = 0.0
    if n > 2:
        rising = float(curve[-twelfth:].mean() - curve[: -third or None][-twelfth:].mean())
    if n > 1:
        late_rising = float(curve[-sixth:].mean() - curve[: -sixth or None][-sixth:].mean())
    noise = float(DEVIATION * np.median(np.abs(value - curve)[n // 6 :])) / scale
    values |= {
        "evaluations": float(n),
        "level": float(np.median(value[-tail:])),
        "peak": peak,
        "start": first,
        "gain": peak - first,
        "reached": near / max(1, n - 1),
        "rising": rising / scale,
        "late_rising": late_rising / scale,
        "noise": noise,
    }
    whole = (float(step[0]), float(step[-1]))
    spans |= dict.fromkeys(("evaluations", "peak", "gain"), whole)
    spans["level"] = (float(step[-tail]), whole[1])
    spans["rising"] = (float(step[-third]), whole[1])
    spans["reached"] = (whole[0], float(step[near]))
    if n >= ENOUGH_FOR_SPIKES:
        _count(collapsed(value), step, "collapses", values, spans)
        late = [pair for pair in swings(value) if pair[1] >= n // 6]
        values["swings"] = float(len(late))
        values["swing_share"] = len(late) / n
        values["last_swing"] = late[-1][1] / (n - 1) if late else 0.0
        if late:
            spans["swings"] = (float(step[late[0][0]]), float(step[late[-1][1]]))


def _measure_decline(
    curves: Curves, end: float, values: dict[str, float], spans: dict[str, tuple[float, float]]
) -> str:
    """The decline of the mAP (at IoU 0.5, or 0.5 to 0.95) that fell further beyond its noise; which one that is."""
    fallen = ""
    values |= dict.fromkeys(("decline_noise", *LEAST_DECLINE), 0.0)
    for name in ("map50", "map"):
        found = finite(curves.series.get(name))
        if found is None or len(found.value) < 3:
            continue
        value = found.value[: _augmented(found.step, end)]
        turned = turn(value, smooth(value), highest=True)
        values.setdefault("since_best", 1 - (turned.last + 1) / len(found.value))
        if turned.worse > 0 and turned.worse / turned.scatter > values["decline_noise"]:
            values["decline"] = turned.worse / max(turned.before, 0.02)
            values["decline_points"] = turned.worse * (MAP50_OVER_MAP if name == "map" else 1.0)
            values["decline_noise"] = turned.worse / turned.scatter
            values["decline_significance"] = turned.significance
            fallen = name
            last = float(found.step[len(value) - 1])
            spans["best stretch"] = (float(found.step[turned.first]), float(found.step[turned.last]))
            spans["end stretch"] = (float(found.step[turned.tail]), last)
            spans["decline"] = (spans["best stretch"][0], last)
    values["decline_clear"] = min(
        float(np.sqrt(values["decline"] / CLEAR_SHARE * values["decline_noise"] / CLEAR_NOISE)),
        *(values[name] / limit for name, limit in LEAST_DECLINE.items()),
    )
    return fallen


def _measure_loss(
    series: Series,
    end: float,
    metric: Series | None,
    values: dict[str, float],
    spans: dict[str, tuple[float, float]],
) -> None:
    values["points"] = float(len(series.value))
    values["not_finite"] = float(np.mean(~np.isfinite(series.value)))
    spans["points"] = spans["not_finite"] = (float(series.step[0]), float(series.step[-1]))
    known = finite(series)
    if known is None or len(known.value) < 3:
        return
    if not np.isfinite(series.value[-1]) and known.value.min() > 0:
        values["blow_up"] = float(min(known.value[-1] / known.value.min(), MAX_RATIO_GROWTH))
        values["blow_up_steps"] = float(np.mean(np.diff(known.value)[-3:] > 0))
    step, value = known.step, known.value
    augmented = _augmented(step, end)
    curve = smooth(value)[:augmented]
    first, middle, last = float(curve[0]), float(curve[len(curve) // 2]), float(curve[-1])
    spread = float(np.ptp(curve))
    values["loss_fall"] = _change(first - last, first)
    values["late_fall"] = _change(middle - last, spread) if spread > CONSTANT_LOSS * abs(first) else np.nan
    spans["loss_fall"] = (float(step[0]), float(step[-1]))
    spans["late_fall"] = (float(step[len(curve) // 2]), float(step[-1]))
    after = augmented // 6
    deviation = np.abs(value[:augmented] - curve)[after:] / np.maximum(np.abs(curve[after:]), 1e-12)
    values["loss_noise"] = DEVIATION * float(np.median(deviation)) if len(deviation) else np.nan
    if metric is not None:
        scores = smooth(metric.value)[: _augmented(metric.step, end)]
        best = metric.step[int(np.argmax(scores))]
        at_best = float(np.interp(best, step[:augmented], curve))
        values["fall_after_best"] = _change(at_best - last, at_best)
        spans["fall_after_best"] = (float(best), float(step[augmented - 1]))
    if len(value) >= ENOUGH_FOR_SPIKES:
        _count(spiked(value), step, "loss_spikes", values, spans)


def _measure_val_loss(
    series: Series, end: float, values: dict[str, float], spans: dict[str, tuple[float, float]]
) -> None:
    known = finite(series)
    if known is None or len(known.value) < 3:
        return
    step, value = known.step, known.value
    augmented = _augmented(step, end)
    curve = smooth(value)[:augmented]
    first, last = float(curve[0]), float(curve[-1])
    values["val_fall"] = _change(first - last, first)
    turned = turn(value[:augmented], curve, highest=False)
    values["val_turn"] = _change(turned.worse, turned.before)
    values["val_turn_significance"] = turned.significance
    spans["val_turn"] = (float(step[turned.first]), float(step[augmented - 1]))
    spans["val end"] = (float(step[turned.tail]), float(step[augmented - 1]))
    if len(value) >= ENOUGH_FOR_SPIKES:
        # A value that is not finite is a spike and no more: with 16-bit floats, whole good runs are NaN here.
        _count(spiked(series.value), series.step, "val_spikes", values, spans)


def _loss_ratio_growth(loss: Series, val_loss: Series, end: float) -> float:
    """How far validation and training loss went apart: their ratio at the end over that at the beginning."""
    ends = []
    for series in (loss, val_loss):
        known = np.isfinite(series.value) & (series.step < end)
        if known.sum() < 6 or series.value[known].min() <= 0:
            return np.nan
        value = series.value[known]
        few = max(2, len(value) // 12)
        ends.append((float(np.median(value[:few])), float(np.median(value[-few:]))))
    (first, last), (val_first, val_last) = ends
    growth = (val_last / last) / (val_first / first)
    return float(np.clip(growth, 1 / MAX_RATIO_GROWTH, MAX_RATIO_GROWTH))


def _no_labels(curves: Curves) -> bool:
    """Whether the losses of boxes were exactly 0 throughout (the class loss of a single class normally is)."""
    parts = [
        series.value
        for name, series in curves.series.items()
        if name.startswith("loss/") and any(word in name for word in ("box", "dfl", "giou"))
    ]
    enough = 1 if curves.unit == "epoch" else 3  # a single iteration may have no object
    return bool(parts) and all(len(part) >= enough and not np.any(part) for part in parts)


def _measure_probes(curves: Curves, values: dict[str, float]) -> None:
    validation, any_class, train = (
        _end_of(curves, name) for name in ("map50", "map50_any_class", "map50_train")
    )
    values["any_class_gap"] = any_class - validation
    values["train_gap"] = train - validation
    values["train_level"] = train


def _end_of(curves: Curves, name: str) -> float:
    """The median of the last sixth of a series; NaN where it has no finite value."""
    series = finite(curves.series.get(name))
    return np.nan if series is None else float(np.median(series.value[-max(1, len(series.value) // 6) :]))
