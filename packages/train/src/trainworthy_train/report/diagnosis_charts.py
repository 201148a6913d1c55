"""The charts of a diagnosis: losses, mAP, parts of losses, precision, recall, learning rate; and what is marked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.series import finite
from trainworthy_train.report import charts
from trainworthy_train.report.charts import Mark, Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.report.charts import Panel
    from trainworthy_train.types import Curves, Diagnosis, Series

MAP = (
    ("map50", "mAP@50"),
    ("map", "mAP@50-95"),
    ("map50_any_class", "mAP@50, any class"),
    ("map50_train", "mAP@50 on training images"),
    ("map50_golden", "mAP@50 on the golden set"),
)
DETECTION = (("precision", "precision"), ("recall", "recall"), ("iou", "IoU"))

#: The panels whose scale is linear whatever their values.
LINEAR = {"mAP", "Precision, recall and IoU"}

#: A learning rate that falls to less than this share of itself from one point to the next was dropped.
DROPPED = 0.6

#: No more drops are marked: a schedule with more falls in steps all along.
MOST_DROPS = 4

#: How many runs are drawn over one another.
MOST_RUNS = 6


def panels(diagnosis: Diagnosis) -> list[Panel]:
    """The panels of one run, as far as it has them, with what is marked in all of them."""
    curves = diagnosis.curves
    groups = {
        "Loss": charts.traces(curves, charts.LOSSES),
        "mAP": charts.traces(curves, MAP),
        "Parts of the training loss": charts.parts(curves, "loss/"),
        "Parts of the validation loss": charts.parts(curves, "val_loss/"),
        "Precision, recall and IoU": charts.traces(curves, DETECTION),
        "Learning rate": charts.traces(curves, (("lr", "learning rate"),)),
    }
    spans = tuple(one.span for one in diagnosis.evidence if one.span is not None)
    limits = charts.step_range([trace for group in groups.values() for trace in group])
    marked = marks(diagnosis)
    return [
        dataclasses.replace(
            charts.panel(
                title,
                group,
                limits,
                fitted=True,
                linear=title in LINEAR,
                best=diagnosis.best_step,
                spans=spans,
                marks=marked,
            ),
            data=charts.data(group, limits, curves.unit, linear=title in LINEAR),
        )
        for title, group in groups.items()
        if group
    ]


def overlaid(diagnoses: Sequence[Diagnosis]) -> list[Panel]:
    """The validation mAP and the training loss of several runs, one over another; the first `MOST_RUNS`."""
    chosen = diagnoses[:MOST_RUNS]
    made = []
    for title, names in (("mAP", ("map50", "map")), ("Loss", ("loss",))):
        group = [
            Trace(f"n{number}", one.curves.name or f"run {number + 1}", series)
            for number, one in enumerate(chosen)
            if (series := _first(one.curves, names)) is not None
        ]
        if len(group) > 1:
            limits = charts.step_range(group)
            linear, unit = title in LINEAR, chosen[0].curves.unit
            panel = charts.panel(f"{title} of the runs", group, limits, fitted=True, linear=linear)
            made.append(dataclasses.replace(panel, data=charts.data(group, limits, unit, linear=linear)))
    return made


def _first(curves: Curves, names: Sequence[str]) -> Series | None:
    """The first of these series that the run has."""
    known = (finite(curves.series.get(name)) for name in names)
    return next((one for one in known if one is not None), None)


def marks(diagnosis: Diagnosis) -> list[Mark]:
    """Where the validation loss was lowest, the learning rate dropped, and mosaic was switched off."""
    curves = diagnosis.curves
    found = []
    val_loss = finite(curves.series.get("val_loss"))
    if val_loss is not None and len(val_loss.step) > 1:
        found.append(
            Mark(float(val_loss.step[int(np.argmin(val_loss.value))]), "lowest validation loss", "val_loss")
        )
    found += [Mark(step, "learning rate dropped", "lr") for step in _drops(curves)]
    if curves.facts.get("mosaic_off") is not None:
        found.append(Mark(float(curves.facts["mosaic_off"]), "mosaic off", "other"))
    return found


def _drops(curves: Curves) -> list[float]:
    rate = finite(curves.series.get("lr"))
    if rate is None or len(rate.value) < 3:
        return []
    early = len(rate.value) // 20  # a warm-up may fall from one group of parameters to another
    fell = np.flatnonzero(rate.value[1:] < DROPPED * rate.value[:-1]) + 1
    steps = [float(rate.step[place]) for place in fell if place > early]
    return steps if len(steps) <= MOST_DROPS else []
