"""A run of somebody's trainer, kept beside our own: what went in, its evaluations, how it ended."""

from __future__ import annotations

import json
import platform
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from trainworthy_audit import __version__
from trainworthy_train import runs
from trainworthy_train.errors import RunError
from trainworthy_train.report import run_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainworthy_audit.admission import Admission
    from trainworthy_train.diagnosis.live import Evaluation
    from trainworthy_train.runs import Run
    from trainworthy_train.types import Curves

#: What the command printed.
CONSOLE = "console.log"


class Recorder:
    """Writes the folder of a supervised run, as `trainworthy runs` reads it. Raises `RunError`."""

    def __init__(self, run: Run, admission: Admission, command: Sequence[str]) -> None:
        self._run, self._began = run, time.monotonic()
        self._rows: list[dict[str, Any]] = []
        settings = {"command": shlex.join(command)}
        proof = admission.certificate
        certificate = {key: proof[key] for key in ("fingerprint", "verdict", "rule_set", "created")}
        certificate["file"] = str(Path(admission.file).resolve())
        self._write(runs.CERTIFICATE, Path(admission.file).read_bytes())
        record = {
            "schema": runs.SCHEMA,
            "name": run.name,
            "created": runs.now(),
            "settings": settings,
            "continued_from": None,
            "dataset": _dataset(admission),
            "certificate": certificate,
            "waived": list(proof["waivers"]),
            "never_loaded": {},
            "notes": ["trained by another program, which decides what it loads"],
            "versions": {"trainworthy": __version__, "python": platform.python_version()},
        }
        self._write(runs.RECORD, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
        self._log = runs.Log(run.file(runs.LOG))
        self._add(
            "session",
            schema=runs.SCHEMA,
            time=runs.now(),
            name=run.name,
            version=run.number,
            model=Path(command[0]).name,
            dataset=str(admission.source.path),
            certificate=certificate,
            settings=settings,
            planned_epochs=None,
            resumed_at=None,
            hardware={"device": platform.machine(), "system": platform.platform()},
        )

    def evaluation(self, found: Evaluation, curves: Curves) -> None:
        """An evaluation that the trainer logged."""
        epoch = round(found.step) if curves.unit == "epoch" else len(self._rows) + 1
        row = {
            "epoch": epoch,
            "step": round(found.step),
            **found.values,
            "seconds": time.monotonic() - self._began,
        }
        self._rows.append(row)
        self._add("epoch", **row)
        self._write(runs.TABLE, runs.table(self._rows).encode())

    def finding(self, kind: str, message: str) -> None:
        """An alarm, or something else that went wrong."""
        self._add("finding", kind=kind, files=[], message=message)

    def end(self, why: str, code: int, log: Path) -> None:
        """How the command ended, and which log it wrote."""
        best = runs.best_epoch(self._rows) or {}
        self._add(
            "end",
            why=why,
            exit_code=code,
            log=str(log.resolve()),
            best_epoch=best.get("epoch"),
            best_map50=best.get("map50"),
        )

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _add(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        try:
            self._log.add(event, **fields)
        except OSError as error:
            raise self._unwritable(runs.LOG, error) from error

    def _write(self, name: str, content: bytes) -> None:
        try:
            runs.write_atomically(self._run.file(name), content)
        except OSError as error:
            raise self._unwritable(name, error) from error

    def _unwritable(self, name: str, error: OSError) -> RunError:
        return RunError(
            f"cannot write {self._run.file(name)}: {error.strerror or error}\n  The record of this run is not complete."
        )


def draw_page(run: Run, tell: Callable[[str], object]) -> None:
    """Write the run's page. One that cannot be drawn is reported; the record is whole without it."""
    try:
        run_page.write(run.folder)
    except Exception as error:  # noqa: BLE001 - whatever it is, no page is worth a training
        tell(f"the run's page was not drawn: {error}")


def _dataset(admission: Admission) -> dict[str, Any]:
    """What a record says of the dataset: counts by split, in the dataset's own words."""
    dataset, path = admission.dataset, admission.source.path
    images = dict(dataset.membership.group_by("split").len().sort("split").iter_rows())
    boxes = dataset.boxes.join(dataset.membership, on="image").group_by("split").len().sort("split")
    return {
        "root": str(path.resolve() if isinstance(path, Path) else path),
        "name": admission.source.name,
        "format": dataset.format,
        "classes": list(dataset.classes),
        "images": images or {"all": dataset.images.height},
        "boxes": dict(boxes.with_columns(pl.col("len").cast(pl.Int64)).iter_rows())
        or {"all": dataset.boxes.height},
        "golden": None,
    }
