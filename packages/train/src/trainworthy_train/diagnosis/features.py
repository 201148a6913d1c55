"""What is measured on a run's curves: a few numbers, each of which a person can check on the chart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.types import Curves, Series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_train.types import Floats

#: Every feature: its unit and meaning. NaN stands where the log does not tell.
NAMES = {
    "evaluations": "evaluations that gave an mAP",
    "points": "logged values of the training loss, at most one an evaluation where there are many",
    "level": "median mAP of the last sixth of the run, 0..1",
    "peak": "best smoothed mAP, 0..1",
    "start": "mAP of the first evaluations, 0..1",
    "gain": "best smoothed mAP less that of the first evaluations, 0..1",
    "reached": "share of the run until the smoothed mAP first came within a tenth of its best, 0..1",
    "rising": "gain of the smoothed mAP in the last third of the run, as a share of its best",
    "late_rising": "the same from the last sixth but one to the last sixth",
    "noise": "median deviation of mAP from its smoothed self, as a share of its best",
    "drawdown": "fall of mAP from its smoothed best to the end, as a share of its best",
    "drawdown_noise": "the same fall in units of the noise",
    "since_best": "share of the run after its best smoothed mAP, 0..1",
    "loss_fall": "fall of the training loss over the run, as a share of its first value",
    "late_fall": "fall of the training loss in the second half of the run, as a share of its range",
    "fall_after_best": "fall of the training loss after the best mAP, as a share of the loss there",
    "loss_noise": "median deviation of the training loss from its smoothed self, as a share of it",
    "parting": "validation over training loss at the end, by the same at the beginning",
    "divergence": "rise of the smoothed validation loss from its least to the end, as a share of its least",
    "val_fall": "fall of the validation loss over the run, as a share of its first value",
    "dropouts": "share of evaluations, after the first sixth, whose mAP is below 0.7 of it before and after",
    "val_spikes": "share of validation losses, after the first sixth, over 1.25 of their surroundings or not finite",
    "loss_spikes": "share of training losses, after the first sixth, over 1.25 of their surroundings",
    "unrest": "the greatest of the noises and spikes above, each as a multiple of what is much (`MUCH`)",
    "not_finite": "share of training losses that are NaN or infinite",
    "zero_loss": "1 where the losses of boxes are exactly 0 throughout: no labels were loaded",
    "any_class_gap": "mAP with all classes taken for one less mAP, at the end",
    "train_gap": "mAP on training images less mAP on validation images, at the end",
    "train_level": "mAP on training images at the end",
}

#: mAP at IoU 0.5 over mAP at IoU 0.5 to 0.95: the median of the real logs that have both.
RATIO = 1.6

#: From where a noise or a share of spikes is seen on a chart: few healthy runs reach it.
MUCH = {"noise": 0.06, "loss_noise": 0.07, "dropouts": 0.1, "val_spikes": 0.08, "loss_spikes": 0.1}

#: A loss that moves by less than this share of itself over a run stands still: nothing is a share of that.
STOOD = 0.001

#: Shares of a loss are told up to ten times of it. Where a loss comes near zero they are without meaning beyond.
MOST = 10.0

#: The same of how far two losses went apart.
MOST_APART = 100.0

#: A drop of mAP that is less than this is hardly seen on a chart from 0 to 1.
DROP = 0.08


@dataclass(frozen=True)
class Features:
    """The numbers of `NAMES`, and the steps that each is about."""

    values: Mapping[str, float] = field(default_factory=dict)
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """The value of the feature, NaN where the log does not tell it."""
        return self.values.get(name, np.nan)


def measure(curves: Curves, facts: Mapping[str, float] | None = None) -> Features:
    """The features of one run; `facts` of an audit (`auditfacts.FACTS`) are features too."""
    values: dict[str, float] = dict(facts or {})
    spans: dict[str, tuple[float, float]] = {}
    metric = mean_ap(curves)
    end = calm_end(curves)
    if metric is not None:
        _measure_map(metric, end, values, spans)
    else:
        values["evaluations"] = 0.0
    loss = _thin(curves.series.get("loss"), metric)
    if loss is not None:
        _measure_loss(loss, end, metric, values, spans)
    val_loss = _thin(curves.series.get("val_loss"), metric)
    if val_loss is not None:
        _measure_val_loss(val_loss, end, values, spans)
    if loss is not None and val_loss is not None:
        values["parting"] = _parting(loss, val_loss, end)
    if "level" in values:
        values["unrest"] = float(np.nanmax([values.get(name, np.nan) / much for name, much in MUCH.items()]))
    values["zero_loss"] = float(_no_labels(curves))
    _measure_probes(curves, values)
    return Features(values, spans)


def mean_ap(curves: Curves) -> Series | None:
    """The run's mAP at IoU 0.5 where an evaluation gave one; of a log without it, what its mAP suggests. 0 to 1."""
    for name, factor in (("map50", 1.0), ("map", RATIO)):
        found = _known(curves.series.get(name))
        if found is not None:
            return Series(found.step, np.clip(found.value * factor, 0.0, 1.0))
    return None


def measured(curves: Curves) -> str:
    """Which mAP the log holds: "map50", else "map", else ""."""
    return next((name for name in ("map50", "map") if _known(curves.series.get(name)) is not None), "")


def name_of_map(curves: Curves) -> str:
    """What the mAP is called that features are measured on."""
    return {"map50": "mAP@50", "map": "estimated mAP@50"}.get(measured(curves), "mAP")


def calm_end(curves: Curves) -> float:
    """The step from which augmentation was switched off (it moves every loss), infinite where it never was."""
    told = curves.facts.get("mosaic_off")
    return float(told) if told is not None else np.inf


def _calm(step: Floats, end: float) -> int:
    """How many evaluations came before augmentation was switched off; all, where those are the lesser part."""
    before = int((step < end).sum())
    return before if before >= max(8, len(step) / 2) else len(step)


def smooth(values: Floats) -> Floats:
    """Values (n,) without their noise: a running median, then a running mean, over a twelfth of the run."""
    n = len(values)
    if n < 6:
        return values
    width = 3 if n < 36 else n // 12 | 1
    middle: Floats = np.median(_windows(values, width), axis=1)
    calm: Floats = np.mean(_windows(middle, width), axis=1)
    return calm


def _windows(values: Floats, width: int) -> Floats:
    """For each value itself and its neighbours (n, width), reflected at the ends; `width` is odd, below 2 n."""
    half = width // 2
    padded = np.concatenate([values[half:0:-1], values, values[-2 : -2 - half : -1]])
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def _known(series: Series | None) -> Series | None:
    if series is None:
        return None
    known = np.isfinite(series.value)
    return Series(series.step[known], series.value[known]) if known.any() else None


def _thin(series: Series | None, metric: Series | None) -> Series | None:
    """A loss that was logged far more often than the mAP, averaged over as many blocks as make a readable curve."""
    if series is None or not len(series.value):
        return None
    wanted = max(60, 0 if metric is None else len(metric.value))
    if len(series.value) <= 1.5 * wanted:
        return series
    edges = np.linspace(0, len(series.value), wanted + 1).astype(int)[:-1]
    counts = np.diff(np.append(edges, len(series.value)))
    return Series(np.maximum.reduceat(series.step, edges), np.add.reduceat(series.value, edges) / counts)


def _measure_map(
    metric: Series, end: float, values: dict[str, float], spans: dict[str, tuple[float, float]]
) -> None:
    step, value = metric.step, metric.value
    n = len(value)
    calm = _calm(step, end)
    curve = smooth(value)
    tail = max(min(3, n), n // 6)
    best = int(np.argmax(curve[:calm]))
    peak = float(curve.max())
    scale = max(peak, 0.02)
    level = float(np.median(value[-tail:]))
    calm_level = float(np.median(value[max(0, calm - tail) : calm]))
    first = float(np.median(value[: max(1, n // 20)]))
    near = int(np.argmax(curve >= 0.9 * peak))
    third, sixth = max(1, n // 3), max(1, n // 6)
    ago = curve[: -third or None][-max(1, n // 12) :]
    gain = float(curve[-max(1, n // 12) :].mean() - ago.mean()) if n > 2 else 0.0
    deviation = np.abs(value - curve)[n // 6 :]
    noise = float(1.4826 * np.median(deviation)) / scale
    fall = max(0.0, float(curve[best]) - calm_level) / scale
    values |= {
        "evaluations": float(n),
        "level": level,
        "peak": peak,
        "start": first,
        "gain": peak - first,
        "reached": near / max(1, n - 1),
        "rising": gain / scale,
        "late_rising": float(curve[-sixth:].mean() - curve[: -sixth or None][-sixth:].mean()) / scale
        if n > 1
        else 0.0,
        "noise": noise,
        "drawdown": fall,
        "drawdown_noise": fall / (noise + 0.01),
        "since_best": (calm - 1 - best) / max(1, n - 1),
    }
    whole = (float(step[0]), float(step[-1]))
    spans |= dict.fromkeys(("evaluations", "peak", "gain"), whole)
    spans["level"] = (float(step[-tail]), whole[1])
    spans["rising"] = (float(step[-third]), whole[1])
    spans["reached"] = (whole[0], float(step[near]))
    spans["drawdown"] = spans["drawdown_noise"] = spans["since_best"] = (
        float(step[best]),
        float(step[calm - 1]),
    )
    if n >= 8:
        before, after = _before(value), _before(value[::-1])[::-1]
        around = np.minimum(np.percentile(before, 75, axis=1), np.percentile(after, 75, axis=1))
        low = (value < 0.7 * around) & (around - value > DROP)
        _share(low, step, "dropouts", values, spans)


def _around(values: Floats) -> Floats:
    """Each value's surroundings (n, width): seven evaluations, or an eighth of a long run."""
    return _windows(values, max(7, len(values) // 8) | 1)


def _before(values: Floats) -> Floats:
    """For each value those before it (n, width): four, or a twelfth of a long run."""
    width = max(4, len(values) // 12)
    padded = np.concatenate([np.full(width, values[0]), values[:-1]])
    return np.lib.stride_tricks.sliding_window_view(padded, width)


def _share(
    hit: np.ndarray, step: Floats, name: str, values: dict[str, float], spans: dict[str, tuple[float, float]]
) -> None:
    """Notes which share of the evaluations after the first sixth was hit, and from where to where."""
    early = len(hit) // 6
    late = np.flatnonzero(hit[early:]) + early
    values[name] = len(late) / (len(hit) - early)
    if len(late):
        spans[name] = (float(step[late[0]]), float(step[late[-1]]))


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
    found = _known(series)
    if found is None or len(found.value) < 3:
        return
    step, value = found.step, found.value
    calm = _calm(step, end)
    curve = smooth(value)[:calm]
    first, last, height = float(curve[0]), float(curve[-1]), float(np.ptp(curve))
    values["loss_fall"] = _share_of(first - last, first)
    values["late_fall"] = (
        _share_of(float(curve[len(curve) // 2]) - last, height) if height > STOOD * abs(first) else np.nan
    )
    spans["loss_fall"] = (float(step[0]), float(step[-1]))
    spans["late_fall"] = (float(step[len(curve) // 2]), float(step[-1]))
    late = np.abs(value[:calm] - curve)[calm // 6 :] / np.maximum(np.abs(curve[calm // 6 :]), 1e-12)
    values["loss_noise"] = 1.4826 * float(np.median(late)) if len(late) else np.nan
    if metric is not None:
        scores = smooth(metric.value)[: _calm(metric.step, end)]
        best = metric.step[int(np.argmax(scores))]
        there = float(np.interp(best, step[:calm], curve))
        values["fall_after_best"] = _share_of(there - last, there)
        spans["fall_after_best"] = (float(best), float(step[calm - 1]))
    if len(value) >= 8:
        _share(value > 1.25 * np.median(_around(value), axis=1), step, "loss_spikes", values, spans)


def _share_of(part: float, whole: float) -> float:
    """What share of `whole` a part is, of either sign, and `MOST` where it is more."""
    return float(np.clip(part / max(abs(whole), 1e-12), -MOST, MOST))


def _measure_val_loss(
    series: Series, end: float, values: dict[str, float], spans: dict[str, tuple[float, float]]
) -> None:
    found = _known(series)
    if found is None or len(found.value) < 3:
        return
    step, value = found.step, found.value
    calm = _calm(step, end)
    curve = smooth(value)[:calm]
    least = int(np.argmin(curve))
    values["val_fall"] = _share_of(float(curve[0] - curve[-1]), float(curve[0]))
    tail = float(np.median(value[max(0, calm - max(3, len(value) // 6)) : calm]))
    values["divergence"] = _share_of(tail - float(curve[least]), float(curve[least]))
    spans["divergence"] = (float(step[least]), float(step[calm - 1]))
    if len(value) >= 8:
        # What is not finite is a spike, too. It is no more than that: with 16-bit numbers whole good runs are NaN here.
        every = np.where(np.isfinite(series.value), series.value, np.inf)
        high = every > 1.25 * np.median(_around(every), axis=1)
        _share(high, series.step, "val_spikes", values, spans)


def _parting(loss: Series, val_loss: Series, end: float) -> float:
    """How far validation and training loss went apart: their ratio at the end by that of the beginning."""
    ends = []
    for series in (loss, val_loss):
        known = np.isfinite(series.value) & (series.step < end)
        if known.sum() < 6 or series.value[known].min() <= 0:
            return np.nan
        value = series.value[known]
        few = max(2, len(value) // 12)
        ends.append((float(np.median(value[:few])), float(np.median(value[-few:]))))
    (first, last), (val_first, val_last) = ends
    return float(np.clip((val_last / last) / (val_first / first), 1 / MOST_APART, MOST_APART))


def _no_labels(curves: Curves) -> bool:
    """Whether the losses of boxes were exactly 0 throughout (the class loss of a single class is, normally)."""
    parts = [
        series.value
        for name, series in curves.series.items()
        if name.startswith("loss/") and any(word in name for word in ("box", "dfl", "giou"))
    ]
    enough = 1 if curves.unit == "epoch" else 3  # a single iteration may meet no object
    return bool(parts) and all(len(part) >= enough and not np.any(part) for part in parts)


def _measure_probes(curves: Curves, values: dict[str, float]) -> None:
    plain = _end_of(curves, "map50")
    any_class, train = _end_of(curves, "map50_any_class"), _end_of(curves, "map50_train")
    values["any_class_gap"] = any_class - plain
    values["train_gap"] = train - plain
    values["train_level"] = train


def _end_of(curves: Curves, name: str) -> float:
    found = _known(curves.series.get(name))
    return np.nan if found is None else float(np.median(found.value[-max(1, len(found.value) // 6) :]))
