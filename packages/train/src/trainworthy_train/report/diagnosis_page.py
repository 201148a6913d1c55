"""The diagnosis as one page that needs no network."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from trainworthy_audit.report.sanitize import clean
from trainworthy_train.cli.progress import clock
from trainworthy_train.report import charts
from trainworthy_train.report.view import TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.report.view import Told

#: Which wash and mark the verdict has.
KINDS = {
    "good-training": "passed",
    "insufficient-data": "warning",
    "low-variance": "warning",
    None: "warning",
}
MARKS = {"passed": "✔", "warning": "▲", "error": "✖"}


def render(runs: Sequence[Told]) -> str:
    """The page of a log with one run or several."""
    return template("diagnosis.html.j2").render(
        path=runs[0].path,
        formats=sorted({run.curves.format.replace("_", " ") for run in runs}),
        runs=[
            parts(run)
            | {"panels": charts.panels(run.curves, run.diagnosis.best_step, run.diagnosis.evidence)}
            for run in runs
        ],
        style=style(),
    )


def parts(run: Told) -> dict[str, Any]:
    """What the macro `said` tells of one run."""
    return {
        "told": run,
        "curves": run.curves,
        "found": run.diagnosis,
        "kind": KINDS.get(run.diagnosis.pattern, "error"),
        "ranked": sorted(run.diagnosis.patterns.items(), key=lambda pair: -pair[1]),
    }


@functools.cache
def style(*names: str) -> Markup:
    """The style of the audit's pages, that of charts and diagnoses, and these files of ours."""
    house = resources.files("trainworthy_audit.report") / "templates" / "style.css"
    own = resources.files("trainworthy_train.report") / "templates"
    files = [house, *(own / name for name in ("diagnosis.css", *names))]
    return Markup("".join(file.read_text("utf-8") for file in files))  # noqa: S704 - files of our own packages


@functools.cache
def template(name: str) -> jinja2.Template:
    """A template of this package."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainworthy_train.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"TITLES": TITLES, "MARKS": MARKS, "WIDTH": charts.WIDTH, "HEIGHT": charts.HEIGHT}
    environment.filters |= {"clean": clean, "clock": clock}
    return environment.get_template(name)
