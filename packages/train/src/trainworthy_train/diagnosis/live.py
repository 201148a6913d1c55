"""A run that is still going on: what is new each time that its curves are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainworthy_train.diagnosis import alarms, stopping
from trainworthy_train.diagnosis.features import logged_map

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.alarms import Alarm
    from trainworthy_train.types import Curves, Stop

#: What an evaluation tells beside mAP, in this order.
SERIES = ("map50", "map", "precision", "recall", "loss", "val_loss", "lr")

TITLES = {"map50": "mAP@50", "map": "mAP@50-95", "loss": "loss", "val_loss": "validation loss"}


@dataclass(frozen=True)
class Evaluation:
    """One evaluation as the log has it."""

    step: float  # in the curves' units
    values: dict[
        str, float
    ]  # by series; a loss that is logged more often has its last value before the evaluation

    def describe(self, unit: str) -> str:
        """'epoch 12: mAP@50 0.532, loss 1.230'."""
        told = (f"{title} {self.values[name]:.3f}" for name, title in TITLES.items() if name in self.values)
        return f"{unit} {self.step:g}: {', '.join(told)}"


@dataclass(frozen=True)
class News:
    """What a look at the curves brought."""

    evaluations: tuple[Evaluation, ...]  # those that no look before has told
    alarm: Alarm | None  # of a kind that no look before has raised
    stop: Stop


class LiveCurves:
    """Tells what is new in the curves of one run, however often they are read."""

    def __init__(self) -> None:
        self._last = -np.inf
        self._raised: set[str] = set()

    def update(self, curves: Curves) -> News:
        """What is new since the update before."""
        found = [one for one in evaluations(curves) if one.step > self._last]
        if found:
            self._last = found[-1].step
        alarm = alarms.alarm(curves)
        if alarm is not None:
            known = alarm.kind in self._raised
            self._raised.add(alarm.kind)
            alarm = None if known else alarm
        return News(tuple(found), alarm, stopping.decide(curves))


def evaluations(curves: Curves) -> list[Evaluation]:
    """All evaluations of a run; of one without mAP the epochs of its validation or training loss."""
    name = logged_map(curves) or next((loss for loss in ("val_loss", "loss") if loss in curves.series), "")
    if not name:
        return []
    series = {
        name: curves.series[name]
        for name in SERIES
        if name in curves.series and len(curves.series[name].step)
    }
    found, before = [], -np.inf
    for step in curves.series[name].step:
        values = {}
        for key, one in series.items():
            at = int(np.searchsorted(one.step, step, side="right")) - 1
            if at >= 0 and one.step[at] > before:
                values[key] = float(one.value[at])
        found.append(Evaluation(float(step), values))
        before = step
    return found
