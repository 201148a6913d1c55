"""The diagnosis in the terminal, about 100 columns wide."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click
import numpy as np

from trainworthy_audit.report.shared.sanitize import clean
from trainworthy_train.diagnosis.series import finite
from trainworthy_train.report.view import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trainworthy_train.report.view import DiagnosisView
    from trainworthy_train.types import CitedRule, Curves, Diagnosis, Distrust, Series

WIDTH = 100
DETAILED = 3  # the most runs of a log that are printed in full
CHART_WIDTH = 60
ENOUGH_TO_FIT = 5  # points of a chart from which on it is fitted without the first
BAR_WIDTH = 30  # of a probability of 1
BLOCKS = " ▁▂▃▄▅▆▇█"
COLORS = {"passed": "green", "warning": "yellow", "error": "red"}
CHARTED = (
    ("loss", "loss"),
    ("val_loss", "validation loss"),
    ("map50", "mAP@50"),
    ("map", "mAP@50-95"),
    ("iou", "IoU"),
)


def render(diagnoses: Sequence[Diagnosis], *, color: bool = False) -> str:
    """The runs of a log: a table first if there are several, and nothing else if there are more than `DETAILED`."""
    views = [describe(diagnosis) for diagnosis in diagnoses]
    parts = [_table(views)] if len(views) > 1 else []
    if len(views) <= DETAILED:
        parts += ["\n".join(_lines(view, color=color)) + "\n" for view in views]
    return "\n".join(parts)


def _table(views: Sequence[DiagnosisView]) -> str:
    """A line per run: its name, pattern, confidence, and best evaluation."""
    header = ("run", "pattern", "confidence", "best")
    rows = [
        (
            clean(view.diagnosis.curves.name) or "-",
            view.verdict,
            f"{view.diagnosis.confidence:.0%}" if view.diagnosis.pattern else "-",
            view.best or "-",
        )
        for view in views
    ]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(3)]
    lines = [f"{clean(views[0].diagnosis.source)} · {len(views)} runs", ""]
    for name, verdict, confidence, best in (header, *rows):
        lines.append(f"  {name:{widths[0]}}  {verdict:{widths[1]}}  {confidence:>{widths[2]}}  {best}")
    return "\n".join(lines) + "\n"


def _lines(view: DiagnosisView, *, color: bool) -> Iterator[str]:
    """One run in full."""
    diagnosis = view.diagnosis
    curves = diagnosis.curves
    name = f" · {clean(curves.name)}" if curves.name else ""
    yield f"{clean(diagnosis.source)}{name} · {curves.format}"
    yield ""
    if diagnosis.distrust is not None:
        yield from _distrusted(diagnosis.distrust, color=color)
        yield ""
    for line in textwrap.wrap(view.sentence, WIDTH):
        yield click.style(line, fg=COLORS[view.severity], bold=True) if color else line
    yield from textwrap.wrap(diagnosis.meaning, WIDTH)
    yield ""
    yield from _charts(curves)
    if view.ranked:
        yield ""
    for title, share in view.ranked:
        yield f"  {title:18} {'█' * round(share * BAR_WIDTH):{BAR_WIDTH}} {share:4.0%}"
    yield ""
    reasons = diagnosis.evidence if diagnosis.pattern else diagnosis.evidence[1:]
    yield from _list("why", [one.what for one in reasons])
    yield from _list("the audit found", [_citation(cited) for cited in diagnosis.cited])
    yield from _list("likely causes", diagnosis.causes)
    yield from _list("what to do", diagnosis.advice)
    yield from _list("what would refute it", [diagnosis.refuted_by] if diagnosis.refuted_by else [])
    yield from _list("one experiment", [diagnosis.experiment] if diagnosis.experiment else [])
    yield from _list(view.stop_title, [view.stop_reason])
    if view.best:
        yield f"best: {view.best}"
    yield from (f"note: {clean(note)}" for note in view.notes)


def _distrusted(distrust: Distrust, *, color: bool) -> Iterator[str]:
    """What comes before everything else where the mAP cannot be trusted."""
    title = f"{distrust.title}."
    yield click.style(title, fg=COLORS["error"], bold=True) if color else title
    for sentence in (distrust.why, *distrust.compared):
        yield from textwrap.wrap(clean(sentence), WIDTH, break_long_words=False)
    yield f"findings: {clean(distrust.link or distrust.audit)}"
    yield f"mend it: {distrust.command}, and train again"


def _citation(cited: CitedRule) -> str:
    waived = f", {cited.waived} of them waived" if cited.waived else ""
    plural = "s" if cited.findings != 1 else ""
    return f"{cited.rule} {cited.name}: {cited.findings} finding{plural}{waived}. {cited.message}"


def _list(title: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield f"{title}:"
    for item in items:
        yield from textwrap.wrap(
            item, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False
        )


def _charts(curves: Curves) -> Iterator[str]:
    """A line per series, drawn in block characters."""
    for name, title in CHARTED:
        series = finite(curves.series.get(name))
        if series is None or (name == "map" and "map50" in curves.series):
            continue
        first, last = float(series.value[0]), float(series.value[-1])
        yield f"  {title:>15} {_blocks(series)}  {first:.4g} to {last:.4g}"


def _blocks(series: Series) -> str:
    value = series.value
    if len(value) > CHART_WIDTH:
        edges = np.linspace(0, len(value), CHART_WIDTH + 1).astype(int)[:-1]
        value = np.add.reduceat(value, edges) / np.diff(np.append(edges, len(value)))
    # A first value that is far from all others flattens the rest: the blocks show the range of the others.
    rest = value[1:] if len(value) > ENOUGH_TO_FIT else value
    low, high = float(rest.min()), float(rest.max())
    value = np.clip(value, low, high)
    scaled = (value - low) / max(high - low, 1e-12) * (len(BLOCKS) - 1)
    return "".join(BLOCKS[round(float(one))] for one in scaled)
