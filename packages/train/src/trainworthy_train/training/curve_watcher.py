"""Looks at a run's curves after each epoch: warns of what goes wrong, and decides whether to stop."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from trainworthy_train import runs
from trainworthy_train.diagnosis import alarms, stopping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.training.progress import ProgressListener


class CurveWatcher:
    """Warns of each kind of alarm once. `planned_epochs` is how long the run is to be."""

    def __init__(self, planned_epochs: int, listener: ProgressListener) -> None:
        self._planned, self._listener = planned_epochs, listener
        self._warned: set[str] = set()

    def why_stop(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Why the run should end after the epochs in `rows`; '' where it should go on."""
        curves = dataclasses.replace(runs.curves(rows), planned=float(self._planned))
        alarm = alarms.alarm(curves)
        if alarm is not None and alarm.kind not in self._warned:
            self._warned.add(alarm.kind)
            self._listener.on_message(f"{alarm.kind} since epoch {alarm.step:g}: {alarm.why}")
        decision = stopping.decide(curves)
        return decision.why if decision.should else ""
