"""TensorBoard's event file in a run's folder."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TensorBoardWriter:
    """Writes scalars. `step` is the one to go on from: what an earlier session logged after it no longer counts."""

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder))
        if step:
            start = SessionLog(status=SessionLog.SessionStatus.START)
            self._writer.add_event(Event(session_log=start, step=step + 1, wall_time=time.time()))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write scalars of one step."""
        values = [self._summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._writer.add_event(
            self._event(summary=self._summary(value=values), step=step, wall_time=time.time())
        )

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._writer.close()
