"""The charts of a run's page: losses and mAP large, the rest small, all over the same epochs."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis.series import finite
from trainworthy_train.report import charts
from trainworthy_train.report.charts import Trace
from trainworthy_train.types import Series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainworthy_train.report.charts import Panel
    from trainworthy_train.runs import Event
    from trainworthy_train.types import Curves, Diagnosis

MAP = (("map50", "mAP@50"), ("map", "mAP@50-95"), ("map50_golden", "mAP@50 on the golden set"))
DETECTION = (("precision", "precision"), ("recall", "recall"), ("iou", "IoU of detections"))
PROBES = (("map50", "mAP@50"), ("map50_any_class", "any label"), ("map50_train", "on training images"))

#: The panels whose scale is 0 to 1.
UNIT_SCALE = {"mAP", "Precision, recall and IoU", "Probes"}

#: The panels in which the steps that the diagnosis is about are shaded.
SHADED = {"Loss", "mAP"}


def panels(
    curves: Curves, steps: Sequence[Event], session: Event, best: Event, diagnosis: Diagnosis | None
) -> list[Panel]:
    """The panels that the run has data for; `steps` are the log's steps, with losses and learning rates."""
    loss, rate = (_of_steps(steps, name, session.get("steps_per_epoch")) for name in ("loss", "lr"))
    groups = {
        "Loss": _losses(curves, loss),
        "mAP": charts.traces(curves, MAP),
        "Precision, recall and IoU": charts.traces(curves, DETECTION),
        "Probes": charts.traces(curves, PROBES),
        "Parts of the training loss": charts.parts(curves, "loss/"),
        "Parts of the validation loss": charts.parts(curves, "val_loss/"),
        "Learning rate": [Trace("lr", "learning rate", rate)] if rate is not None else [],
    }
    limits = charts.step_range([trace for group in groups.values() for trace in group])
    spans = tuple(one.span for one in diagnosis.evidence if one.span is not None) if diagnosis else ()
    return [
        charts.panel(
            title,
            group,
            limits,
            unit_scale=title in UNIT_SCALE,
            best=best.get("epoch"),
            spans=spans if title in SHADED else (),
        )
        for title, group in groups.items()
        if group
    ]


def _of_steps(steps: Sequence[Event], name: str, steps_per_epoch: float | None) -> Series | None:
    """A quantity of the steps, over epochs: the last step of an epoch is at the epoch's number."""
    if not steps or not steps_per_epoch:
        return None
    step = np.array([event["step"] / steps_per_epoch for event in steps])
    value = [math.nan if event.get(name) is None else event[name] for event in steps]
    return finite(Series(step, np.array(value, dtype=np.float64)))


def _losses(curves: Curves, of_steps: Series | None) -> list[Trace]:
    """The losses of epochs, with the training loss of each step behind; that alone before the first epoch."""
    losses = charts.traces(curves, charts.LOSSES)
    if of_steps is None:
        return losses
    if not losses:
        return [Trace("loss", "training loss", of_steps)]
    return [dataclasses.replace(one, raw=of_steps) if one.style == "loss" else one for one in losses]
