"""The curves of a run as shapes for SVG: losses in one panel, scores of 0 to 1 in the one below."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.features import smooth
from trainworthy_train.types import Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


@dataclass(frozen=True)
class Drawn:
    """A series that goes onto a panel; `kind` is its style, `raw` what is drawn thin where that is another series."""

    kind: str
    name: str
    series: Series
    raw: Series | None = None


def panels(curves: Curves, best: float | None, evidence: tuple[Evidence, ...]) -> list[Panel]:
    """The panels that a diagnosed run has lines for."""
    groups = {title: drawn(curves, names) for title, names in (("Loss", LOSSES), ("Scores", SCORES))}
    edges = edges_of([one for group in groups.values() for one in group])
    spans = tuple(one.span for one in evidence if one.span is not None)
    return [
        panel(title, group, edges, shares=title == "Scores", best=best, spans=spans)
        for title, group in groups.items()
        if group
    ]


def drawn(curves: Curves, names: Iterable[tuple[str, str]]) -> list[Drawn]:
    """The series of these names, (key, how it is called), that the run has any number of."""
    return [
        Drawn(key, name, found)
        for key, name in names
        if (found := finite(curves.series.get(key))) is not None
    ]


def finite(series: Series | None) -> Series | None:
    """The points that are numbers; None where there is none."""
    if series is None:
        return None
    known = np.isfinite(series.value)
    return Series(series.step[known], series.value[known]) if known.any() else None


def edges_of(lines: Sequence[Drawn]) -> tuple[float, float]:
    """The first and the last step of any line, for panels that share an axis."""
    steps = [
        one.step for line in lines for one in (line.series, line.raw) if one is not None and len(one.step)
    ]
    return (
        (min(float(one[0]) for one in steps), max(float(one[-1]) for one in steps)) if steps else (0.0, 0.0)
    )


def panel(
    title: str,
    lines: Sequence[Drawn],
    edges: tuple[float, float],
    *,
    shares: bool = False,
    best: float | None = None,
    spans: tuple[tuple[float, float], ...] = (),
) -> Panel:
    """A panel of lines, one at least, over `edges`; with `shares` its scale is 0 to 1."""
    scale = _Scale.of([line.series.value for line in lines], shares=shares)
    return Panel(
        title=title,
        lines=tuple(_line(line, edges, scale) for line in lines),
        ticks=tuple((float(scale(np.array([tick]))[0]), f"{tick:g}") for tick in scale.ticks()),
        steps=tuple((float(_x(np.array([step]), edges)[0]), f"{step:g}") for step in _whole(edges)),
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


def _whole(edges: tuple[float, float]) -> list[float]:
    """Round numbers of steps: no half epochs, where there are whole ones between the edges."""
    steps = _nice(*edges)
    return [step for step in steps if step.is_integer()] or steps


def _x(step: Floats, edges: tuple[float, float]) -> Floats:
    width = edges[1] - edges[0]
    return (step - edges[0]) / width * WIDTH if width > 0 else np.full(len(step), WIDTH / 2)


def _line(line: Drawn, edges: tuple[float, float], scale: _Scale) -> Line:
    series, raw = line.series, line.raw or line.series
    x, y = _x(series.step, edges), scale(series.value)
    return Line(
        name=line.name,
        kind=line.kind,
        raw=_points(*_extremes(_x(raw.step, edges), scale(raw.value))),
        smoothed=_points(*_sparse(x, smooth(y))),
        first=float(series.value[0]),
        last=float(series.value[-1]),
        lone=(float(x[0]), float(y[0])) if len(x) == 1 else None,
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
