"""A diagnosis in a notebook: a fragment of HTML that needs nothing else and changes nothing around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.report import charts
from trainworthy_train.report.templating import style_sheets, template
from trainworthy_train.report.view import describe

if TYPE_CHECKING:
    from trainworthy_train.types import Diagnosis


def render(diagnosis: Diagnosis) -> str:
    """One run: verdict, charts, and what speaks for it, with styles that apply to this fragment only."""
    return template("notebook.html.j2").render(
        view=describe(diagnosis),
        panels=charts.panels(diagnosis.curves, diagnosis.best_step, diagnosis.evidence),
        style=style_sheets("notebook.css"),
    )
