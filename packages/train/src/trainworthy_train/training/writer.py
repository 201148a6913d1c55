"""What a training leaves in its run's folder: log, table, TensorBoard's events, weights and page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_train import runs
from trainworthy_train.errors import RunError
from trainworthy_train.report import run_page
from trainworthy_train.runs.tensorboard import TensorBoardWriter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.runs import Run
    from trainworthy_train.training.progress import ProgressListener
    from trainworthy_train.training.state import TrainingState


class NullRunWriter:
    """Writes nothing: for all processes but the first."""

    rows: Sequence[Mapping[str, Any]] = ()  # the epochs that were completed, as the log has them

    def session(self, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """A start or a resume."""

    def step(self, step: int, epoch: int, losses: Mapping[str, float], lr: float) -> None:
        """An optimizer step, numbered from 1."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An evaluated epoch."""

    def best_weights(self, state: TrainingState, row: Mapping[str, Any]) -> None:
        """The weights of the epoch in `row`, the best so far."""

    def finding(self, kind: str, files: Sequence[str], message: str) -> None:
        """Something that went wrong."""

    def checkpoint(self, state: TrainingState, seconds: float) -> None:
        """All that resuming needs, after `seconds` of training."""

    def end(self, why: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """The end of a session."""

    def draw_page(self) -> None:
        """The run's page, drawn anew."""

    def close(self) -> None:
        """Close all files."""


class RunWriter(NullRunWriter):
    """Writes a run's folder. Raises `RunError` where that is not possible, which leaves what was there before.

    `header` is what files of weights say of themselves; `state` is where the session begins.
    """

    def __init__(
        self, run: Run, header: Mapping[str, Any], state: TrainingState, listener: ProgressListener
    ) -> None:
        self._run, self._header, self._listener = run, header, listener
        earlier = runs.latest(run.events(), "epoch")
        self.rows: list[Mapping[str, Any]] = [row for row in earlier if row["epoch"] < state.progress.epoch]
        self._log = runs.Log(run.file(runs.LOG))
        self._tensorboard = TensorBoardWriter(run.folder, state.progress.step)

    def session(self, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """A start or a resume."""
        self._add(
            "session",
            schema=runs.SCHEMA,
            time=runs.now(),
            name=self._run.name,
            version=self._run.number,
            **fields,
        )

    def step(self, step: int, epoch: int, losses: Mapping[str, float], lr: float) -> None:
        """An optimizer step, numbered from 1."""
        loss = sum(losses.values())
        self._add("step", step=step, epoch=epoch, loss=loss, parts=dict(losses), lr=lr)
        parts = {f"loss/{name}": value for name, value in losses.items()}
        self._tensorboard.add(step, {"loss": loss, "lr": lr} | parts)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An evaluated epoch."""
        self.rows.append(row)
        self._add("epoch", **{key: value for key, value in row.items() if key != "event"})
        figures = {f"epoch/{key}": row[key] for key in runs.EPOCH_SERIES if key in row}
        self._tensorboard.add(row["step"], figures)
        write_file(self._run, runs.TABLE, runs.table(self.rows).encode())

    def best_weights(self, state: TrainingState, row: Mapping[str, Any]) -> None:
        """The weights of the epoch in `row`, the best so far."""
        write_file(self._run, runs.BEST, state.best_weights(self._header, row))

    def finding(self, kind: str, files: Sequence[str], message: str) -> None:
        """Something that went wrong."""
        self._add("finding", kind=kind, files=list(files), message=message)
        self._listener.on_message(message)

    def checkpoint(self, state: TrainingState, seconds: float) -> None:
        """All that resuming needs, after `seconds` of training."""
        write_file(self._run, runs.LAST, state.checkpoint(self._header, seconds))

    def end(self, why: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """The end of a session."""
        best = runs.best_epoch(self.rows)
        self._add(
            "end",
            why=why,
            best_epoch=best["epoch"] if best else None,
            best_map50=best["map50"] if best else None,
            **fields,
        )
        self.draw_page()

    def draw_page(self) -> None:
        """The run's page, drawn anew. One that cannot be drawn is reported, and stops nothing."""
        try:
            run_page.write(self._run.folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, no page is worth a training
            self._listener.on_message(f"the run's page was not drawn: {error}")

    def close(self) -> None:
        """Close all files."""
        self._log.close()
        self._tensorboard.close()

    def _add(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        try:
            self._log.add(event, **fields)
        except OSError as error:
            raise unwritable(self._run, runs.LOG, error) from error


def write_file(run: Run, name: str, content: bytes) -> None:
    """Write one of a run's files whole. Raises `RunError` that says what is still there."""
    try:
        runs.write_atomically(run.file(name), content)
    except OSError as error:
        raise unwritable(run, name, error) from error


def unwritable(run: Run, name: str, error: OSError) -> RunError:
    """The error of a run that cannot be written."""
    last = run.file(runs.LAST).exists()
    kept = "The last checkpoint is still there" if last else "There is no checkpoint yet"
    return RunError(
        f"cannot write {run.file(name)}: {error.strerror or error}\n  {kept}, whole; training stops here.",
        next_step="make room, then run the same command with --resume",
    )
