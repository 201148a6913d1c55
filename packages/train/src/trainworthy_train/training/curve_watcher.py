"""Looks at a run's curves after each epoch: warns of what goes wrong, and decides whether to stop."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from trainworthy_train import runs
from trainworthy_train.diagnosis.live import LiveCurves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.training.progress import ProgressListener


class CurveWatcher:
    """Warns of each kind of alarm once. `planned_epochs` is how long the run is to be."""

    def __init__(self, planned_epochs: int, listener: ProgressListener) -> None:
        self._planned, self._listener = planned_epochs, listener
        self._live = LiveCurves()

    def why_stop(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Why the run should end after the epochs in `rows`; '' where it should go on."""
        curves = dataclasses.replace(runs.curves(rows), planned=float(self._planned))
        news = self._live.update(curves)
        if news.alarm is not None:
            self._listener.on_message(f"{news.alarm.kind} since epoch {news.alarm.step:g}: {news.alarm.why}")
        return news.stop.why if news.stop.should else ""
