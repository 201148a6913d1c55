"""The diagnosis in the terminal, of about 100 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click
import numpy as np

from trainworthy_audit.report.sanitize import clean
from trainworthy_train.report.view import TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.report.view import Told
    from trainworthy_train.types import Series

WIDTH = 100
DETAILED = 3  # runs of a log that are told in full
COLUMNS = 60  # of a chart
BLOCKS = " ▁▂▃▄▅▆▇█"
COLOURS = {"good-training": "green", "insufficient-data": "yellow", "low-variance": "yellow", None: "yellow"}
CHARTED = (
    ("loss", "loss"),
    ("val_loss", "validation loss"),
    ("map50", "mAP@50"),
    ("map", "mAP@50-95"),
    ("iou", "IoU"),
)


def every(runs: Sequence[Told], *, color: bool = False) -> str:
    """The runs of a log: of several first a table, and of more than `DETAILED` nothing else."""
    told = [render(run, color=color) for run in runs] if len(runs) <= DETAILED else []
    return "\n".join([*([table(runs)] if len(runs) > 1 else []), *told])


def table(runs: Sequence[Told]) -> str:
    """A line a run: where it is, its pattern, how sure that is, and its best evaluation."""
    head = ("run", "pattern", "sure", "best")
    rows = [
        (
            clean(run.curves.name) or "-",
            run.verdict,
            f"{run.diagnosis.confidence:.0%}" if run.diagnosis.pattern else "-",
            run.best or "-",
        )
        for run in runs
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(3)]
    lines = [f"{clean(runs[0].path)} · {len(runs)} runs", ""]
    for name, verdict, sure, best in (head, *rows):
        lines.append(f"  {name:{widths[0]}}  {verdict:{widths[1]}}  {sure:>{widths[2]}}  {best}")
    return "\n".join(lines) + "\n"


def render(run: Told, *, color: bool = False) -> str:
    """One run."""
    found, curves = run.diagnosis, run.curves
    name = f" · {clean(curves.name)}" if curves.name else ""
    lines = [f"{clean(run.path)}{name} · {curves.format}", ""]
    verdict = textwrap.wrap(run.sentence, WIDTH)
    fg = COLOURS.get(found.pattern, "red")
    lines += [click.style(line, fg=fg, bold=True) for line in verdict] if color else verdict
    lines += textwrap.wrap(found.meaning, WIDTH)
    lines += ["", *_chart(run)]
    ranked = sorted(found.patterns, key=found.patterns.__getitem__, reverse=True)
    lines += [""] if run.knows else []
    for pattern in ranked if run.knows else ():
        share = found.patterns[pattern]
        lines.append(f"  {TITLES[pattern]:18} {'█' * round(share * 30):30} {share:4.0%}")
    lines += ["", *_list("why", [one.what for one in found.evidence[found.pattern is None :]])]
    cited = [
        f"{one.rule} {one.name}: {one.findings} finding{'s' if one.findings != 1 else ''}"
        + (f", {one.waived} of them waived" if one.waived else "")
        + f". {one.message}"
        for one in run.cited
    ]
    lines += _list("the audit found", cited)
    lines += _list("likely causes", found.causes) + _list("what to do", found.advice)
    lines += _list("what would refute it", [found.refuted_by] if found.refuted_by else [])
    lines += _list("one experiment", [found.experiment] if found.experiment else [])
    lines += _list(run.stopping, [run.stop_why])
    if run.best:
        lines.append(f"best: {run.best}")
    lines += [f"note: {clean(note)}" for note in run.notes]
    return "\n".join(lines) + "\n"


def _list(title: str, items: Sequence[str]) -> list[str]:
    lines = [f"{title}:"] if items else []
    for item in items:
        lines += textwrap.wrap(
            item, WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False
        )
    return lines


def _chart(run: Told) -> list[str]:
    lines = []
    for name, title in CHARTED:
        series = run.curves.series.get(name)
        if (
            series is None
            or not np.isfinite(series.value).any()
            or (name == "map" and "map50" in run.curves.series)
        ):
            continue
        first, last = _ends(series)
        lines.append(f"  {title:>15} {_line(series)}  {first:.4g} to {last:.4g}")
    return lines


def _ends(series: Series) -> tuple[float, float]:
    known = series.value[np.isfinite(series.value)]
    return float(known[0]), float(known[-1])


def _line(series: Series) -> str:
    known = np.isfinite(series.value)
    value = series.value[known]
    if len(value) > COLUMNS:
        edges = np.linspace(0, len(value), COLUMNS + 1).astype(int)[:-1]
        value = np.add.reduceat(value, edges) / np.diff(np.append(edges, len(value)))
    low, high = min(0.0, float(value.min())), float(value.max())
    scaled = (value - low) / max(high - low, 1e-12) * (len(BLOCKS) - 1)
    return "".join(BLOCKS[round(float(one))] for one in scaled)
