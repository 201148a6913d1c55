"""What a detector sees: the probe as the page shows it, and the boxes that it suggests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainworthy_audit.report.html.pictures import drawn
from trainworthy_audit.report.shared.groups import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainworthy_audit.report.html.pictures import Drawn
    from trainworthy_audit.types import AuditResult, LearningPoint, Probe

#: The rules that report suspects, by their kind, and what the kind is called.
KINDS = {
    "missing": ("L001", "objects without a box"),
    "spurious": ("L002", "boxes without an object"),
    "moved": ("L003", "boxes that do not fit"),
    "label": ("L004", "doubtful labels"),
    "double": ("L005", "second boxes on one object"),
}

LABELS = 60  # rows of the table; the rest is counted
OUTLIERS = 12  # images that are named

#: Of the learning curve, in units of its drawing.
WIDTH, HEIGHT, LEFT, BOTTOM = 340, 190, 34, 24


@dataclass(frozen=True)
class LabelRow:
    """A label in the table."""

    name: str
    ap50: float | None
    boxes: int
    images: int
    taken_for: str  # '12 % "dog"', ...


@dataclass(frozen=True)
class Point:
    """A place on the learning curve, as it is drawn."""

    images: int
    x: float
    y: float
    low: float
    high: float
    title: str
    forecast: bool


@dataclass(frozen=True)
class Curve:
    """The learning curve."""

    points: tuple[Point, ...]
    line: str  # of the measured points, as SVG has it
    ahead: str  # from the last of them to the forecast; "" without one
    ticks: tuple[tuple[float, str], ...]  # (y, mAP@50)


@dataclass(frozen=True)
class Detector:
    """The section's content."""

    probe: Probe
    expected: tuple[tuple[str, str, float], ...]  # (code, what, how many in expectation), the most first
    rows: tuple[LabelRow, ...]
    left: int  # labels that are not in the table
    curve: Curve | None
    splits: tuple[tuple[str, float], ...]  # (name, p-value)
    outliers: tuple[str, ...]


def detector(audit: AuditResult) -> Detector | None:
    """What the probe says; None without one."""
    probe = audit.evidence.probe
    if probe is None:
        return None
    expected = [
        (*KINDS[kind], number)
        for kind, number in probe.expected_errors.items()
        if kind in KINDS and number >= 0.5
    ]
    named = sorted(
        probe.labels.items(), key=lambda item: (item[1].ap50 is not None, item[1].ap50 or 0.0, item[0])
    )
    rows = tuple(
        LabelRow(
            name,
            one.ap50,
            one.boxes,
            one.images,
            ", ".join(f'{share:.0%} "{other}"' for other, share in one.confused_with[:3]),
        )
        for name, one in named[:LABELS]
    )
    return Detector(
        probe=probe,
        expected=tuple(sorted(expected, key=lambda one: -one[2])),
        rows=rows,
        left=len(named) - len(rows),
        curve=_curve(probe),
        splits=tuple((name.replace("_", " "), value) for name, value in probe.splits.items()),
        outliers=probe.outliers[:OUTLIERS],
    )


def suggestions(audit: AuditResult, hues: Mapping[str, int]) -> dict[tuple[Any, ...], Drawn]:
    """{(rule, image, annotation, box, probability): the box that a detector suggests} of the suspects."""
    probe = audit.evidence.probe
    if probe is None:
        return {}
    sizes = {
        row["path"]: row
        for row in audit.evidence.images.select("path", "image_width", "image_height").to_dicts()
    }
    found = {}
    for row in probe.suspects.drop_nulls("suggested_label").iter_rows(named=True):
        size = sizes.get(row["path"])
        if size is None:
            continue
        box = drawn({**row, **size, "label": row["suggested_label"]}, hues)
        if box is not None:
            key = (KINDS[row["kind"]][0], row["path"], row["annotation"], row["box"], round(row["score"], 4))
            found[key] = box
    return found


def _curve(probe: Probe) -> Curve | None:
    """The learning curve, mAP@50 over images; None where fewer than two points were measured."""
    if len(probe.learning) < 2:
        return None
    ahead = _ahead(probe)
    points = [*probe.learning, *([ahead] if ahead else [])]
    most = max(point.images for point in points)
    top = min(1.0, max(0.1, *(point.high for point in points)) * 1.05)

    def x(images: float) -> float:
        return round(LEFT + (WIDTH - LEFT - 8) * images / most, 1)

    def y(value: float) -> float:
        return round((HEIGHT - BOTTOM) * (1 - max(0.0, min(value, top)) / top) + 4, 1)

    places = tuple(
        Point(
            point.images,
            x(point.images),
            y(point.map50),
            y(point.low),
            y(point.high),
            f"{count(point.images, 'image')}: mAP@50 {point.map50:.3f} ({point.low:.3f} to {point.high:.3f})"
            + (", expected" if point is ahead else ""),
            point is ahead,
        )
        for point in points
    )
    measured = [place for place in places if not place.forecast]
    return Curve(
        points=places,
        line=" ".join(f"{place.x},{place.y}" for place in measured),
        ahead=" ".join(f"{place.x},{place.y}" for place in (measured[-1], places[-1])) if ahead else "",
        ticks=tuple((y(value), f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1) if value <= top),
    )


def _ahead(probe: Probe) -> LearningPoint | None:
    """The forecast as a point of the curve."""
    if probe.forecast is None:
        return None
    more = probe.forecast
    return type(more)(probe.learning[-1].images + more.images, more.map50, more.low, more.high)
