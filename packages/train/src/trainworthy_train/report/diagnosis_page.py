"""The diagnosis as one page that needs no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainworthy_train.report import charts
from trainworthy_train.report.templating import page_style, template
from trainworthy_train.report.view import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.types import Diagnosis


def render(diagnoses: Sequence[Diagnosis]) -> str:
    """The page of a log with one run or several."""
    return template("diagnosis.html.j2").render(
        source=diagnoses[0].source,
        formats=sorted({diagnosis.curves.format.replace("_", " ") for diagnosis in diagnoses}),
        runs=[
            (describe(diagnosis), charts.panels(diagnosis.curves, diagnosis.best_step, diagnosis.evidence))
            for diagnosis in diagnoses
        ],
        style=page_style(),
    )
