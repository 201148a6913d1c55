"""A page of runs side by side: curves, settings, figures, and what each finds in the same images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_audit.errors import OutputError
from trainworthy_train import runs
from trainworthy_train.diagnosis.series import finite
from trainworthy_train.report import charts, run_text
from trainworthy_train.report.templating import page_style, template

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainworthy_train.report.charts import Panel
    from trainworthy_train.runs import Run
    from trainworthy_train.types import SideBySide

#: How these pages start; a file that starts otherwise is not replaced.
MARK = b'<!DOCTYPE html>\n<html lang="en" data-page="trainworthy-comparison">'

#: The series that have a panel: (name, title).
CURVES = (
    ("loss", "Training loss"),
    ("val_loss", "Validation loss"),
    ("map50", "mAP@50"),
    ("map", "mAP@50-95"),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("map50_golden", "mAP@50 on the golden set"),
)
LOSSES = ("loss", "val_loss")


def write(chosen: Sequence[Run], images: SideBySide, folder: Path) -> Path:
    """Write the page into `folder`; returns it. An older page of the same runs is replaced. Raises `OutputError`."""
    names = "-".join(re.sub(r"[^\w.-]+", "-", run.name).strip("-") for run in chosen)
    file = folder / f"compare-{names[:150]}.html"
    try:
        if file.exists() and not file.read_bytes().startswith(MARK):
            raise OutputError(
                f"{file} was not written by trainworthy runs compare\n  It is left as it is.",
                next_step="choose another folder: --out DIR",
            )
        folder.mkdir(parents=True, exist_ok=True)
        runs.write_atomically(file, render(chosen, images).encode())
    except OSError as error:
        raise OutputError(
            f"cannot write the page {file}: {error.strerror or error}",
            next_step="choose another folder: --out DIR",
        ) from error
    return file


def render(chosen: Sequence[Run], images: SideBySide) -> str:
    """The page of these runs, two or more; `images` is what `inference.side_by_side` makes of them."""
    return template("comparison.html.j2").render(
        names=[run.name for run in chosen],
        panels=_panels(chosen),
        settings=run_text.different_settings(chosen),
        figures=run_text.best_figures(chosen),
        comparable=run_text.comparable(chosen),
        images=images,
        style=page_style("run.css", "comparison.css"),
    )


def _panels(chosen: Sequence[Run]) -> list[Panel]:
    """A panel per series, with a line per run; all over the same epochs."""
    curves = [runs.curves(run.events()) for run in chosen]
    groups = {
        name: [
            charts.Trace(f"n{number % 6}", run.name, series)
            for number, (run, one) in enumerate(zip(chosen, curves, strict=True))
            if (series := finite(one.series.get(name))) is not None
        ]
        for name, _ in CURVES
    }
    limits = charts.step_range([trace for group in groups.values() for trace in group])
    return [
        charts.panel(title, groups[name], limits, unit_scale=name not in LOSSES)
        for name, title in CURVES
        if groups[name]
    ]
