"""The figures that sentences state: each is one number of the log itself, never of a smoothed curve.

A sentence is a template of the names below (`{best}`, `{end}`), filled in by `state`. Each figure knows of which series
and steps it is and what it is (`KINDS`), so that anybody, and a test, can count it again from the log.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.features import logged_map, mean_ap
from trainworthy_train.diagnosis.series import averaged, collapsed, finite, spiked
from trainworthy_train.types import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainworthy_train.diagnosis.features import Features
    from trainworthy_train.diagnosis.series import Hits
    from trainworthy_train.types import Curves, Floats, Series

#: What a figure is of the values of its series from the first to the last step of its span.
KINDS = {
    "count": "how many finite values there are",
    "median": "their median",
    "maximum": "the largest",
    "minimum": "the smallest",
    "step of the maximum": "the step of the first largest value",
    "step of the minimum": "the step of the first smallest value",
    "first step": "the first step of the span",
    "last step": "the last step of the span",
    "first step near the maximum": "the first step at which the value is at least nine tenths of the largest",
    "median step change": "the median of the changes from one value to the next, as shares of the larger one",
    "not finite": "how many values are NaN or infinite",
    "points": "how many values there are, finite or not",
    "collapses": "how many, after the first sixth, are below 0.7 of those before and after them, by 0.08 at least",
    "spikes": "how many, after the first sixth, are over 1.25 times the median of those around them, or not finite",
    "first step near zero": "the first step of these",
    "near zero": "how many, after one of 0.1 or more, are below 0.01",
    "change": "the second of two medians over the first, minus 1",
    "first": "the first value",
    "rise": "their median over the minimum of the whole series, minus 1",
    "ratio": "the first of two medians over the second",
    "fact": "of the dataset's audit or of the run's features: not of a series",
}

#: An mAP from which something was learnt, and one below which nothing is left of it.
LEARNT, FORGOTTEN = 0.1, 0.01

METRIC_TITLES = {"map50": "mAP@50", "map": "mAP@50-95"}


@dataclass(frozen=True)
class Said:
    """A sentence and the figures in it."""

    text: str
    figures: tuple[Figure, ...]


def state(template: str, curves: Curves, features: Features) -> Said | None:
    """The template with its figures filled in; None where the log does not have one of them."""
    log = _Log(curves, features)
    parts: list[str] = []
    figures: list[Figure] = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is None:
            continue
        found = _NAMED[name](log) if name in _NAMED else log.fact(name)
        if found is None:
            return None
        parts.append(found if isinstance(found, str) else found.shown)
        if isinstance(found, Figure):
            figures += [found]
            if name in _RATIOS:
                figures += log.ratio_parts(_RATIOS[name])
        elif name in _CHANGES:
            figures += log.change_parts(*_CHANGES[name])
    return Said("".join(parts), tuple(figures))


# ------------------------------------------------------------------------------------------------------------
# Numbers in words


def score(value: float) -> str:
    """An mAP as sentences give it."""
    return f"{value:.3f}"


def loss(value: float) -> str:
    """A loss as sentences give it: three digits."""
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e3 else f"{value:.3e}" if value else "0"


def share(value: float) -> str:
    """A share as sentences give it, never more exact than it matters."""
    if abs(value) >= MOST:
        return f"over {MOST:.0%}"
    return f"{value:.0%}" if abs(value) >= 0.1 or value == 0 else f"{value:.1%}"


#: Larger changes mean nothing: the value that they are a share of is as good as zero.
MOST = 10.0

#: A change of less is none.
LEAST = 0.0005


def changed(before: float, after: float) -> str:
    """What became of a value, in words: "fell by 12%"."""
    part = (after - before) / abs(before) if before else 0.0
    if abs(part) < LEAST:
        return "did not change"
    return f"{'rose' if part > 0 else 'fell'} by {share(abs(part))}"


def _number(value: float) -> str:
    return f"{value:g}" if value == round(value, 3) else f"{value:.1f}"


# ------------------------------------------------------------------------------------------------------------
# The log, as figures read it


@dataclass(frozen=True)
class _Log:
    curves: Curves
    features: Features

    @property
    def metric(self) -> str:
        return logged_map(self.curves)

    @property
    def fallen(self) -> str:
        """The mAP whose decline was measured."""
        return self.features.series.get("decline", self.metric)

    def values(self, name: str, span: tuple[float, float] | None) -> Series | None:
        """The finite values of a series from the first to the last step of a span."""
        series = finite(self.curves.series.get(name))
        if series is None or span is None:
            return None
        kept = (series.step >= span[0]) & (series.step <= span[1])
        return type(series)(series.step[kept], series.value[kept]) if kept.any() else None

    def whole(self, name: str) -> tuple[float, float] | None:
        series = finite(self.curves.series.get(name))
        return None if series is None else (float(series.step[0]), float(series.step[-1]))

    def part(self, name: str, first: float, last: float) -> tuple[float, float] | None:
        """The steps of the part of a series from one share of its values to another; at least three values."""
        series = finite(self.curves.series.get(name))
        if series is None or len(series.value) < 3:
            return None
        n = len(series.value)
        start, end = round(first * n), round(last * n)
        if end - start < 3:
            start, end = (0, 3) if first == 0 else (max(0, min(start, n - 3)), max(3, min(n, start + 3)))
        return float(series.step[start]), float(series.step[end - 1])

    def of(self, kind: str, name: str, span: tuple[float, float] | None) -> Figure | None:
        found = self.values(name, span)
        if found is None or span is None:
            return None
        value = measured(kind, found.step, found.value)
        if kind in {"count", "near zero"}:
            shown = f"{value:.0f}"
        elif "step" in kind and kind != "median step change":
            shown = _number(value)
        elif kind == "median step change":
            shown = share(value)
        else:
            shown = loss(value) if "loss" in name else score(value)
        return Figure(kind, name, span, value, shown)

    def median(self, name: str, span: tuple[float, float] | None) -> Figure | None:
        return self.of("median", name, span)

    def change_parts(self, name: str, before: str, after: str) -> list[Figure]:
        """The two medians of a change, and the change itself."""
        series = {"metric": self.metric, "fallen": self.fallen}.get(name, name)
        first = self.median(series, self.span(series, before))
        last = self.median(series, self.span(series, after))
        if first is None or last is None:
            return []
        part = (last.value - first.value) / abs(first.value) if first.value else 0.0
        shown = "" if abs(part) < LEAST else share(abs(part))
        span = (first.span[0], last.span[1]) if first.span and last.span else None
        return [Figure("change", series, span, part, shown), first, last]

    def change(self, name: str, before: str, after: str) -> str | None:
        """A change in words with both its medians: "fell by 12%, from 0.512 to 0.451"."""
        parts = self.change_parts(name, before, after)
        if not parts:
            return None
        _, first, last = parts
        words = changed(first.value, last.value)
        return words if words == "did not change" else f"{words}, from {first.shown} to {last.shown}"

    def span(self, name: str, which: str) -> tuple[float, float] | None:
        """The steps that a word stands for; those of `features.spans` under its name."""
        shares = {
            "start": (0.0, 1 / 12), "middle": (0.5 - 1 / 12, 0.5 + 1 / 12), "end": (5 / 6, 1.0),
            "before the last third": (0.5, 2 / 3), "last points": (11 / 12, 1.0),
        }  # fmt: skip
        return self.part(name, *shares[which]) if which in shares else self.features.spans.get(which)

    def fact(self, name: str) -> Figure | None:
        """A fact of the audit, or a plain feature."""
        value = self.features[name]
        if np.isnan(value):
            return None
        shown = f"{value:.0f}" if name in _COUNTED else share(value) if 0 <= value <= 1 else f"{value:.2g}"
        return Figure("fact", name, self.features.spans.get(name), float(value), shown)

    def ratio_parts(self, which: str) -> list[Figure]:
        """The medians of the validation and of the training loss there, as far as the log has them."""
        medians = (self.median(name, self.span(name, which)) for name in ("val_loss", "loss"))
        return [one for one in medians if one is not None]

    def ratio(self, which: str) -> Figure | None:
        """The validation loss over the training loss there, by their medians."""
        parts = self.ratio_parts(which)
        if len(parts) < 2 or parts[1].value == 0:
            return None
        above, below = parts
        value = above.value / below.value
        return Figure("ratio", "val_loss/loss", above.span, value, f"{value:.2f}")


def measured(kind: str, step: Floats, value: Floats) -> float:
    """A figure of these values (n,) at these steps."""
    return float(_MEASURED[kind](step, value))


_MEASURED: Mapping[str, Callable[[Floats, Floats], float]] = {
    "count": lambda _, value: len(value),
    "median": lambda _, value: np.median(value),
    "maximum": lambda _, value: value.max(),
    "minimum": lambda _, value: value.min(),
    "step of the maximum": lambda step, value: step[np.argmax(value)],
    "step of the minimum": lambda step, value: step[np.argmin(value)],
    "first": lambda _, value: value[0],
    "first step": lambda step, _: step[0],
    "last step": lambda step, _: step[-1],
    "first step near the maximum": lambda step, value: step[np.argmax(value >= 0.9 * value.max())],
    "median step change": lambda _, value: np.median(
        np.abs(np.diff(value)) / np.maximum(np.abs(value[1:]), np.abs(value[:-1])).clip(1e-12)
    ),
    "near zero": lambda _, value: (
        (value[np.argmax(value >= LEARNT) :] < FORGOTTEN).sum() if value.max() >= LEARNT else 0
    ),
}

#: Facts that are numbers of images, or of what happened.
_COUNTED = {"train_images", "val_images", "scenes", "swings"}

#: Changes: the series, and the spans before and after.
_CHANGES = {
    "fall": ("fallen", "best stretch", "end stretch"),
    "loss_meanwhile": ("loss", "best stretch", "end stretch"),
    "late_change": ("metric", "before the last third", "end"),
    "loss_over_run": ("loss", "start", "last points"),
    "loss_half": ("loss", "middle", "last points"),
    "val_over_run": ("val_loss", "start", "last points"),
}


#: Ratios, and where each is taken.
_RATIOS = {"ratio_start": "start", "ratio_end": "last points"}


def _late(hits: Hits) -> int:
    """How many hits there are after the first sixth."""
    return int(hits[len(hits) // 6 :].sum())


def _collapses(log: _Log) -> Figure | None:
    metric, span = mean_ap(log.curves), log.whole(log.metric)
    if metric is None:
        return None
    count = _late(collapsed(metric.value))
    return Figure("collapses", log.metric, span, count, f"{count}")


def _spikes(name: str) -> Callable[[_Log], Figure | None]:
    def find(log: _Log) -> Figure | None:
        series = averaged(log.curves.series.get(name), mean_ap(log.curves))
        if series is None:
            return None
        known = finite(series) if name == "loss" else series
        if known is None:
            return None
        count = _late(spiked(known.value))
        return Figure("spikes", name, (float(series.step[0]), float(series.step[-1])), count, f"{count}")

    return find


def _averaged(name: str) -> Callable[[_Log], str | None]:
    """A clause where a loss was logged far more often than mAP."""

    def find(log: _Log) -> str | None:
        series = log.curves.series.get(name)
        blocks = averaged(series, mean_ap(log.curves))
        return (
            " (means over blocks of the log)"
            if series and blocks and len(blocks.step) < len(series.step)
            else ""
        )

    return find


def _not_finite(log: _Log) -> Figure | None:
    series = log.curves.series.get("loss")
    if series is None or not len(series.step):
        return None
    count = int((~np.isfinite(series.value)).sum())
    return Figure("not finite", "loss", (float(series.step[0]), float(series.step[-1])), count, f"{count}")


def _points(log: _Log) -> Figure | None:
    series = log.curves.series.get("loss")
    if series is None or not len(series.step):
        return None
    span = (float(series.step[0]), float(series.step[-1]))
    return Figure("points", "loss", span, len(series.value), f"{len(series.value)}")


def _val_rise(log: _Log) -> Figure | None:
    least = log.of("minimum", "val_loss", log.whole("val_loss"))
    end = log.median("val_loss", log.span("val_loss", "val end"))
    if least is None or end is None or least.value <= 0:
        return None
    value = end.value / least.value - 1
    return Figure("rise", "val_loss", end.span, value, share(value))


def _until(log: _Log) -> str:
    """A clause for what is counted up to the end of mosaic augmentation only."""
    last = log.features.spans.get("end stretch") or log.features.spans.get("val end")
    ends = [log.whole(name) for name in (log.metric, "val_loss")]
    whole = max((span[1] for span in ends if span), default=0.0)
    return (
        " before mosaic was switched off"
        if last and "mosaic_off" in log.curves.facts and last[1] < whole
        else ""
    )


def _near_zero_step(log: _Log) -> Figure | None:
    found = log.values(log.metric, log.whole(log.metric))
    if found is None or found.value.max() < LEARNT:
        return None
    after = np.arange(len(found.value)) > np.argmax(found.value >= LEARNT)
    gone = np.flatnonzero(after & (found.value < FORGOTTEN))
    if not len(gone):
        return None
    value = float(found.step[gone[0]])
    return Figure("first step near zero", log.metric, log.whole(log.metric), value, _number(value))


def _mosaic(log: _Log) -> Figure | None:
    value = log.curves.facts.get("mosaic_off")
    return None if value is None else Figure("fact", "mosaic_off", None, float(value), f"{value:g}")


def _evaluations(log: _Log) -> Figure | None:
    return log.of("count", log.metric, log.whole(log.metric)) or Figure("count", "map50", None, 0.0, "0")


def _title(name: str) -> str:
    return METRIC_TITLES.get(name, "mAP")


_NAMED: Mapping[str, Callable[[_Log], Figure | str | None]] = {
    "unit": lambda log: log.curves.unit,
    "metric": lambda log: _title(log.metric),
    "until": _until,
    "mosaic": _mosaic,
    "first": lambda log: log.of("first", log.metric, log.whole(log.metric)),
    "evaluations": _evaluations,
    "best": lambda log: log.of("maximum", log.metric, log.whole(log.metric)),
    "best_step": lambda log: log.of("step of the maximum", log.metric, log.whole(log.metric)),
    "last_step": lambda log: log.of("last step", log.metric, log.whole(log.metric)),
    "end": lambda log: log.median(log.metric, log.span(log.metric, "end")),
    "end_count": lambda log: log.of("count", log.metric, log.span(log.metric, "end")),
    "start": lambda log: log.median(log.metric, log.span(log.metric, "start")),
    "near_step": lambda log: log.of("first step near the maximum", log.metric, log.whole(log.metric)),
    "collapses": _collapses,
    "near_zero_step": _near_zero_step,
    "near_zero": lambda log: log.of("near zero", log.metric, log.whole(log.metric)),
    "fallen": lambda log: _title(log.fallen),
    "fallen_first": lambda log: log.of("first step", log.fallen, log.span(log.fallen, "best stretch")),
    "fallen_last": lambda log: log.of("last step", log.fallen, log.span(log.fallen, "best stretch")),
    "fallen_count": lambda log: log.of("count", log.fallen, log.span(log.fallen, "end stretch")),
    "val_min": lambda log: log.of("minimum", "val_loss", log.whole("val_loss")),
    "val_min_step": lambda log: log.of("step of the minimum", "val_loss", log.whole("val_loss")),
    "val_end": lambda log: log.median("val_loss", log.span("val_loss", "val end")),
    "val_rise": _val_rise,
    "val_end_count": lambda log: log.of("count", "val_loss", log.span("val_loss", "val end")),
    "val_spike_count": _spikes("val_loss"),
    "loss_spike_count": _spikes("loss"),
    "loss_blocks": _averaged("loss"),
    "val_blocks": _averaged("val_loss"),
    "loss_points": _points,
    "loss_step": lambda log: log.of("median step change", "loss", log.whole("loss")),
    "not_finite_count": _not_finite,
    **{name: (lambda log, which=which: log.ratio(which)) for name, which in _RATIOS.items()},  # type: ignore[misc]
    "map50_end": lambda log: log.median("map50", log.span("map50", "end")),
    "any_class_end": lambda log: log.median("map50_any_class", log.span("map50_any_class", "end")),
    "train_end": lambda log: log.median("map50_train", log.span("map50_train", "end")),
    **{
        name: (lambda log, where=where: log.change(*where))  # type: ignore[misc]
        for name, where in _CHANGES.items()
    },
}

#: The names that a sentence may have in braces, beside those of features and facts.
NAMES = frozenset(_NAMED)
