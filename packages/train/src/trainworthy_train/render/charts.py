"""The curves of a run as shapes for SVG: losses in one panel, scores of 0 to 1 in the one below."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.features import smooth

if TYPE_CHECKING:
    from trainworthy_train.types import Curves, Evidence, Floats

WIDTH, HEIGHT = 760, 230  # of a panel's drawing, in units of the SVG
POINTS = 400  # of a line; more cannot be told apart
LOG_FROM = 30.0  # losses that fall by more than this factor are drawn on a logarithmic scale

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
    """One series: `raw` and `smoothed` are the points of a polyline, `kind` its style."""

    name: str
    kind: str
    raw: str
    smoothed: str
    first: float
    last: float
    lone: tuple[float, float] | None  # where a series of one point is


@dataclass(frozen=True)
class Panel:
    """Lines over a common axis of steps; positions are in units of the SVG."""

    title: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]  # (y, label)
    steps: tuple[tuple[float, str], ...]  # (x, label)
    best: float | None  # x of the best evaluation
    spans: tuple[tuple[float, float], ...]  # (x, width) of what the evidence is about
    logarithmic: bool


def panels(curves: Curves, best: float | None, evidence: tuple[Evidence, ...]) -> list[Panel]:
    """The panels that the run has lines for."""
    edges = _edges(curves)
    if edges is None:
        return []
    spans = tuple(one.span for one in evidence if one.span is not None)
    made = [_panel(title, curves, edges, best=best, spans=spans) for title in ("Loss", "Scores")]
    return [panel for panel in made if panel is not None]


def _edges(curves: Curves) -> tuple[float, float] | None:
    steps = [
        series.step[np.isfinite(series.value)]
        for name, _ in LOSSES + SCORES
        if (series := curves.series.get(name)) is not None
    ]
    known = [step for step in steps if len(step)]
    if not known:
        return None
    return float(min(step[0] for step in known)), float(max(step[-1] for step in known))


def _panel(
    title: str,
    curves: Curves,
    edges: tuple[float, float],
    *,
    best: float | None,
    spans: tuple[tuple[float, float], ...],
) -> Panel | None:
    names = SCORES if title == "Scores" else LOSSES
    found = {}
    for key, name in names:
        series = curves.series.get(key)
        known = np.isfinite(series.value) if series is not None else np.zeros(0, bool)
        if series is not None and known.any():
            found[key] = (name, series.step[known], series.value[known])
    if not found:
        return None
    scale = _Scale.of([value for _, _, value in found.values()], shares=title == "Scores")
    return Panel(
        title=title,
        lines=tuple(
            _line(key, name, _x(step, edges), scale(value), value)
            for key, (name, step, value) in found.items()
        ),
        ticks=tuple((float(scale(np.array([tick]))[0]), f"{tick:g}") for tick in scale.ticks()),
        steps=tuple((_x(np.array([step]), edges)[0], f"{step:g}") for step in _nice(*edges)),
        best=None if best is None else float(_x(np.array([best]), edges)[0]),
        spans=tuple(_band(span, edges) for span in _joined(spans)),
        logarithmic=scale.logarithmic,
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, values: list[Floats], *, shares: bool) -> _Scale:
        if shares:
            return cls(0.0, 1.0, logarithmic=False)
        every = np.concatenate(values)
        high = float(
            max(max(1.2 * np.percentile(smooth(value), 98), np.percentile(value, 97)) for value in values)
        )
        low = float(every.min())
        if low > 0 and float(every.max()) / low > LOG_FROM:
            return cls(low, float(every.max()), logarithmic=True)
        return cls(min(0.0, low), max(high, low + 1e-9, 1e-9), logarithmic=False)

    def __call__(self, value: Floats) -> Floats:
        low, high, value = self.low, self.high, np.clip(value, self.low, self.high)
        if self.logarithmic:
            low, high, value = np.log(low), np.log(high), np.log(value)
        return HEIGHT * (1 - (value - low) / max(high - low, 1e-12))

    def ticks(self) -> list[float]:
        if not self.logarithmic:
            return _nice(self.low, self.high)
        powers = np.arange(np.ceil(np.log10(self.low)), np.floor(np.log10(self.high)) + 1)
        return [float(10.0**power) for power in powers[:: max(1, len(powers) // 5)]]


def _nice(low: float, high: float) -> list[float]:
    """Round numbers between, six at most."""
    if high <= low:
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = np.ceil(low / step)
    return [float(f"{k * step:.6g}") for k in np.arange(first, np.floor(high / step) + 1)]


def _x(step: Floats, edges: tuple[float, float]) -> Floats:
    width = edges[1] - edges[0]
    return (step - edges[0]) / width * WIDTH if width > 0 else np.full(len(step), WIDTH / 2)


def _line(key: str, name: str, x: Floats, y: Floats, value: Floats) -> Line:
    return Line(
        name=name,
        kind=key,
        raw=_points(*_extremes(x, y)),
        smoothed=_points(*_sparse(x, smooth(y))),
        first=float(value[0]),
        last=float(value[-1]),
        lone=(float(x[0]), float(y[0])) if len(value) == 1 else None,
    )


def _extremes(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Of a long line the least and the greatest of each stretch, so that no spike is lost."""
    if len(x) <= 2 * POINTS:
        return x, y
    edges = np.linspace(0, len(x), POINTS + 1).astype(int)
    kept = [
        edge + place
        for edge, end in itertools.pairwise(edges)
        for place in sorted({int(np.argmin(y[edge:end])), int(np.argmax(y[edge:end]))})
    ]
    return x[kept], y[kept]


def _sparse(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= POINTS:
        return x, y
    kept = np.linspace(0, len(x) - 1, POINTS).astype(int)
    return x[kept], y[kept]


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _joined(spans: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """The spans, those that overlap as one."""
    joined: list[tuple[float, float]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _band(span: tuple[float, float], edges: tuple[float, float]) -> tuple[float, float]:
    first, last = np.clip(_x(np.array(span), edges), 0, WIDTH).tolist()
    return first, max(last - first, 2.0)
