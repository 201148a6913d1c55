"""The curves of a run as shapes for SVG: panels of lines over a common axis of steps."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.series import finite, smooth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainworthy_train.types import Curves, Evidence, Floats, Series

#: The size of a panel's plot area, in units of the SVG.
WIDTH, HEIGHT = 760, 230

#: The most points of a smoothed line; more cannot be told apart.
MAX_POINTS = 400

#: The most points of a line whose values a page shows under the pointer.
MAX_SHOWN = 1000

#: Values that fall by more than this factor are drawn on a logarithmic scale.
LOGARITHMIC_FROM = 30.0

#: The series of a panel: (name, title).
LOSSES = (("loss", "training loss"), ("val_loss", "validation loss"))
SCORES = (
    ("map50", "mAP@50"),
    ("map", "mAP@50-95"),
    ("iou", "IoU"),
    ("map50_any_class", "mAP@50, any class"),
    ("map50_train", "mAP@50 on training images"),
    ("map50_golden", "mAP@50 on the golden set"),
)


@dataclass(frozen=True)
class Line:
    """One series, drawn: `raw` and `smoothed` are the points of a polyline, `style` is a class of the style sheet."""

    title: str
    style: str
    raw: str
    smoothed: str
    first: float  # its first and last value
    last: float
    dot: tuple[float, float] | None  # the position of a series with a single point


@dataclass(frozen=True)
class Panel:
    """Lines over a common axis of steps; positions are in units of the SVG."""

    title: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]  # (y, label)
    steps: tuple[tuple[float, str], ...]  # (x, label)
    best: float | None  # the x of the best evaluation
    spans: tuple[tuple[float, float], ...]  # (x, width) of the steps that the evidence is about
    logarithmic: bool
    marks: tuple[tuple[float, str, str], ...] = ()  # (x, what happened there, style)
    data: str = ""  # the values as JSON, for the script of a page that has one


@dataclass(frozen=True)
class Mark:
    """A step at which something happened."""

    step: float
    title: str
    style: str


@dataclass(frozen=True)
class Trace:
    """A series to be drawn; `raw` is drawn thin behind the smoothed line, in place of the series itself."""

    style: str
    title: str
    series: Series
    raw: Series | None = None


def panels(curves: Curves, best: float | None, evidence: tuple[Evidence, ...]) -> list[Panel]:
    """A panel of the losses and one of the scores of a diagnosed run, as far as it has them."""
    groups = {title: traces(curves, names) for title, names in (("Loss", LOSSES), ("Scores", SCORES))}
    limits = step_range([trace for group in groups.values() for trace in group])
    spans = tuple(one.span for one in evidence if one.span is not None)
    return [
        panel(title, group, limits, unit_scale=title == "Scores", best=best, spans=spans)
        for title, group in groups.items()
        if group
    ]


def traces(curves: Curves, names: Iterable[tuple[str, str]]) -> list[Trace]:
    """The series of these (name, title) of which the run has a finite value; a series' name is its style."""
    return [
        Trace(name, title, known)
        for name, title in names
        if (known := finite(curves.series.get(name))) is not None
    ]


def step_range(lines: Sequence[Trace]) -> tuple[float, float]:
    """The first and the last step of all traces, for panels that share an axis."""
    series = [
        one for trace in lines for one in (trace.series, trace.raw) if one is not None and len(one.step)
    ]
    if not series:
        return 0.0, 0.0
    return min(float(one.step[0]) for one in series), max(float(one.step[-1]) for one in series)


def panel(
    title: str,
    lines: Sequence[Trace],
    limits: tuple[float, float],
    *,
    unit_scale: bool = False,
    fitted: bool = False,
    linear: bool = False,
    best: float | None = None,
    spans: tuple[tuple[float, float], ...] = (),
    marks: Sequence[Mark] = (),
) -> Panel:
    """A panel of at least one trace over the steps `limits`; with `unit_scale` its scale is 0 to 1.

    With `fitted` the scale begins at the least value, not at 0; with `linear` it is never logarithmic.
    """
    values = [trace.series.value for trace in lines]
    scale = _Scale.of(values, unit_scale=unit_scale, fitted=fitted, linear=linear)
    return Panel(
        title=title,
        lines=tuple(_line(trace, limits, scale) for trace in lines),
        ticks=tuple((float(scale(np.array([tick]))[0]), f"{tick:g}") for tick in scale.ticks()),
        steps=tuple((float(_x(np.array([step]), limits)[0]), f"{step:g}") for step in _step_ticks(limits)),
        best=None if best is None else float(_x(np.array([best]), limits)[0]),
        spans=tuple(_band(span, limits) for span in _merged(spans)),
        logarithmic=scale.logarithmic,
        marks=tuple(
            (float(_x(np.array([mark.step]), limits)[0]), mark.title, mark.style)
            for mark in marks
            if limits[0] <= mark.step <= limits[1]
        ),
    )


def data(lines: Sequence[Trace], limits: tuple[float, float], unit: str, *, linear: bool = False) -> str:
    """The values of a panel as JSON, for the script of a page: at most `MAX_SHOWN` points of each line."""
    values = [trace.series.value for trace in lines]
    scale = _Scale.of(values, unit_scale=False, fitted=True, linear=linear)
    rows = []
    for trace in lines:
        n = len(trace.series.step)
        kept = np.unique(np.linspace(0, n - 1, min(n, MAX_SHOWN)).astype(int))
        rows.append(
            {
                "title": trace.title,
                "step": [float(f"{one:.6g}") for one in trace.series.step[kept]],
                "value": [float(f"{one:.5g}") for one in trace.series.value[kept]],
            }
        )
    drawn = {"limits": limits, "low": scale.low, "high": scale.high, "log": scale.logarithmic, "unit": unit}
    return json.dumps(drawn | {"width": WIDTH, "height": HEIGHT, "lines": rows})


def parts(curves: Curves, prefix: str) -> list[Trace]:
    """The parts of a loss, if there is more than one."""
    names = sorted(name for name in curves.series if name.startswith(prefix))
    found = traces(curves, [(name, name.removeprefix(prefix)) for name in names])
    styled = [replace(one, style=f"n{number % 6}") for number, one in enumerate(found)]
    return styled if len(styled) > 1 else []


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: list[Floats], *, unit_scale: bool, fitted: bool, linear: bool) -> _Scale:
        """A scale on which single spikes do not flatten the rest of a curve."""
        if unit_scale:
            return cls(0.0, 1.0, logarithmic=False)
        every = np.concatenate(values)
        high = float(
            max(max(1.2 * np.percentile(smooth(value), 98), np.percentile(value, 97)) for value in values)
        )
        low = float(every.min())
        if low > 0 and float(every.max()) / low > LOGARITHMIC_FROM and not linear:
            return cls(low, float(every.max()), logarithmic=True)
        if fitted:
            high = max(high, low + 1e-9)
            return cls(low - 0.04 * (high - low), high + 0.04 * (high - low), logarithmic=False)
        return cls(min(0.0, low), max(high, low + 1e-9, 1e-9), logarithmic=False)

    def __call__(self, value: Floats) -> Floats:
        low, high, value = self.low, self.high, np.clip(value, self.low, self.high)
        if self.logarithmic:
            low, high, value = np.log(low), np.log(high), np.log(value)
        return HEIGHT * (1 - (value - low) / max(high - low, 1e-12))

    def ticks(self) -> list[float]:
        if not self.logarithmic:
            return _round_numbers(self.low, self.high)
        powers = np.arange(np.ceil(np.log10(self.low)), np.floor(np.log10(self.high)) + 1)
        return [float(10.0**power) for power in powers[:: max(1, len(powers) // 5)]]


def _round_numbers(low: float, high: float) -> list[float]:
    """At most six round numbers from `low` to `high`."""
    if high <= low:
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = np.ceil(low / step)
    return [float(f"{k * step:.6g}") + 0.0 for k in np.arange(first, np.floor(high / step) + 1)]


def _step_ticks(limits: tuple[float, float]) -> list[float]:
    """Round numbers of steps: whole epochs, where there are any between the limits."""
    steps = _round_numbers(*limits)
    return [step for step in steps if step.is_integer()] or steps


def _x(step: Floats, limits: tuple[float, float]) -> Floats:
    width = limits[1] - limits[0]
    return (step - limits[0]) / width * WIDTH if width > 0 else np.full(len(step), WIDTH / 2)


def _line(trace: Trace, limits: tuple[float, float], scale: _Scale) -> Line:
    series, raw = trace.series, trace.raw or trace.series
    x, y = _x(series.step, limits), scale(series.value)
    return Line(
        title=trace.title,
        style=trace.style,
        raw=_points(*_envelope(_x(raw.step, limits), scale(raw.value))),
        smoothed=_points(*_subsampled(x, smooth(y))),
        first=float(series.value[0]),
        last=float(series.value[-1]),
        dot=(float(x[0]), float(y[0])) if len(x) == 1 else None,
    )


def _envelope(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The minimum and the maximum of each section of a long line, so that no spike is lost."""
    if len(x) <= 2 * MAX_POINTS:
        return x, y
    edges = np.linspace(0, len(x), MAX_POINTS + 1).astype(int)
    kept = [
        edge + place
        for edge, end in itertools.pairwise(edges)
        for place in sorted({int(np.argmin(y[edge:end])), int(np.argmax(y[edge:end]))})
    ]
    return x[kept], y[kept]


def _subsampled(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= MAX_POINTS:
        return x, y
    kept = np.linspace(0, len(x) - 1, MAX_POINTS).astype(int)
    return x[kept], y[kept]


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _merged(spans: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """The spans, with overlapping ones merged."""
    merged: list[tuple[float, float]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _band(span: tuple[float, float], limits: tuple[float, float]) -> tuple[float, float]:
    """The x and the width of a span, wide enough to be seen."""
    first, last = np.clip(_x(np.array(span), limits), 0, WIDTH).tolist()
    return first, max(last - first, 2.0)
