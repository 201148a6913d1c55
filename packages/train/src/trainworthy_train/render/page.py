"""The diagnosis as one page that needs no network."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from trainworthy_train.render import charts
from trainworthy_train.render.told import TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.render.told import Told

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
    return _template().render(
        path=runs[0].path,
        runs=[
            {
                "told": run,
                "curves": run.curves,
                "found": run.diagnosis,
                "kind": KINDS.get(run.diagnosis.pattern, "error"),
                "panels": charts.panels(run.curves, run.diagnosis.best_step, run.diagnosis.evidence),
                "ranked": sorted(run.diagnosis.patterns.items(), key=lambda pair: -pair[1]),
            }
            for run in runs
        ],
        style=Markup(_style()),  # noqa: S704 - files of our own packages
        TITLES=TITLES,
        MARKS=MARKS,
        WIDTH=charts.WIDTH,
        HEIGHT=charts.HEIGHT,
    )


@functools.cache
def _style() -> str:
    """The style of the audit's pages, and what only this page has."""
    house = resources.files("trainworthy_audit.report") / "templates" / "style.css"
    own = resources.files("trainworthy_train.render") / "templates" / "diagnosis.css"
    return house.read_text("utf-8") + own.read_text("utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("trainworthy_train.render"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("diagnosis.html.j2")
