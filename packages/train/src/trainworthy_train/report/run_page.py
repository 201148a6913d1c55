"""A run's page: what it is, how it goes, what its curves say, and what to do next. Written again after every epoch."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train import runs
from trainworthy_train.diagnosis import alarms, audit_facts, diagnose
from trainworthy_train.diagnosis.source import find_audit
from trainworthy_train.diagnosis.stopping import MIN_EVALUATIONS
from trainworthy_train.errors import RunError
from trainworthy_train.report import probes, run_charts, run_text
from trainworthy_train.report.next_steps import next_steps
from trainworthy_train.report.templating import page_style, template
from trainworthy_train.report.view import describe
from trainworthy_train.runs.duration import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.diagnosis.audit_facts import AuditFacts
    from trainworthy_train.runs import Event, Run

PAGE = "index.html"

#: The most steps of the log that are read to be drawn: a line has fewer pixels, and the page is written every epoch.
MAX_STEPS = 4000

#: How the log's lines of steps start. Nearly all lines of a long run are such, and most are skipped without parsing.
STEP = b'{"event": "step"'

#: The most labels in the table, the worst ones first; metrics.csv has all.
MAX_LABELS = 100

#: The figures at the top of the page.
FIGURES = ("map50", "map", "precision", "recall", "iou", "map50_golden")

ENDS = {
    "finished": "finished: all planned epochs are done",
    "stopped": "stopped: a better mAP had become unlikely",
    "time-budget": "ended: the time budget is spent",
    "interrupted": "interrupted",
    "nan-loss": "ended: the loss became NaN",
    "dataset-changed": "ended: the dataset was changed during training",
}

FILES = {
    runs.TABLE: "the epochs as a table",
    runs.LOG: "everything that happened, one event per line",
    runs.RECORD: "settings and data",
    runs.CERTIFICATE: "the certificate of the dataset",
    runs.BEST: "the best weights",
    runs.LAST: "what resuming needs",
}


def write(run_dir: Path) -> Path:
    """Write the page of the run in `run_dir`, replacing an older one; returns it.

    It shows what the run's log and record say, and the audit beside the certificate if that still exists. Raises
    `OSError` if the page cannot be written.
    """
    run = runs.Run(run_dir)
    runs.write_atomically(run.file(PAGE), render(run).encode())
    return run.file(PAGE)


def render(run: Run) -> str:
    """The page of a run."""
    log, steps = _read_log(run.file(runs.LOG))
    sessions = [event for event in log if event["event"] == "session"]
    session = sessions[-1] if sessions else {}
    epochs = runs.latest(log, "epoch")
    best = runs.best_epoch(epochs) or {}
    end: Event = log[-1] if log and log[-1]["event"] == "end" else {}
    test = end.get("test") or {}
    record = _record(run)
    audit = _audit_facts(run, session)
    curves = runs.curves(log)
    diagnosis = diagnose(curves, audit_facts.with_run_record(audit, record), source=str(run.folder))
    early = not end and len(epochs) < min(MIN_EVALUATIONS, session.get("planned_epochs") or MIN_EVALUATIONS)
    settings = session.get("settings", {})
    return template("run.html.j2").render(
        run=run,
        name=run.name,
        written_at=runs.now().replace("T", " ").replace("+00:00", " UTC"),
        state=_state(end, epochs, session),
        session=session,
        sessions=sessions,
        record=record,
        settings=run_text.format_settings(settings),
        augmentation=run_text.format_settings(settings.get("augmentation", {})),
        view=describe(diagnosis),
        early=early,
        alarm=None if end else alarms.alarm(curves),
        panels=run_charts.panels(curves, steps, session, best, None if early else diagnosis),
        each=session.get("steps_per_epoch", 0),
        best=best,
        rows=epochs,
        figures=[(run_text.FIGURES[name], best[name]) for name in FIGURES if best.get(name) is not None],
        probes=probes.judge(best),
        labels=_worst_labels(best),
        findings=[event for event in log if event["event"] == "finding"],
        test=test,
        test_comment=_compare_with_test(best, test),
        next_steps=next_steps(run, record, end, trained=bool(epochs)),
        audit_page=_link(run, audit.file, PAGE),
        files=[(name, what) for name, what in FILES.items() if run.file(name).exists()],
        style=page_style("run.css"),
    )


# ------------------------------------------------------------------------------------------------------------
# Files of the run


def _read_log(file: Path) -> tuple[list[Event], list[Event]]:
    """The events of the log other than steps, and as many steps as can be drawn, the last one among them."""
    events: list[Event] = []
    lines: list[bytes] = []
    with contextlib.suppress(FileNotFoundError), file.open("rb") as handle:
        for line in handle:
            if line.startswith(STEP):
                lines.append(line)
            elif (event := _parse(line)) is not None:
                events.append(event)
    kept = lines[:: -max(1, math.ceil(len(lines) / MAX_STEPS))]
    steps = [event for line in reversed(kept) if (event := _parse(line)) is not None]
    return events, runs.latest(steps, "step")


def _parse(line: bytes) -> Event | None:
    """A line of the log; None if it is torn."""
    try:
        event: Any = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _record(run: Run) -> Mapping[str, Any]:
    """The run's record; {} if it has none."""
    try:
        return run.record()
    except RunError:
        return {}


def _audit_facts(run: Run, session: Event) -> AuditFacts:
    """The facts of the audit beside the certificate, if it still exists and can be read."""
    file = find_audit(run.folder, session.get("certificate"))
    with contextlib.suppress(OSError, TrainworthyError):
        if file is not None:
            return _load_facts(file, file.stat().st_mtime_ns)
    return audit_facts.AuditFacts()


@functools.lru_cache(maxsize=4)
def _load_facts(file: Path, _modified: int) -> AuditFacts:
    """The facts of an audit.json, read once: it may be large, and the page is written often."""
    return audit_facts.load(file)


def _link(run: Run, file: str, name: str) -> str:
    """The relative URL, from the run's page, of `name` beside `file`; "" if there is none."""
    target = Path(file).with_name(name) if file else None
    if target is None or not target.is_file():
        return ""
    with contextlib.suppress(ValueError):  # on another drive
        return quote(Path(os.path.relpath(target, run.folder)).as_posix())
    return ""


# ------------------------------------------------------------------------------------------------------------
# Sentences and tables


def _state(end: Event, epochs: Sequence[Event], session: Event) -> str:
    done, planned = (epochs[-1]["epoch"] if epochs else 0), session.get("planned_epochs") or "?"
    duration = f", {format_duration(epochs[-1]['seconds'])}" if epochs and "seconds" in epochs[-1] else ""
    state = ENDS.get(end["why"], end["why"]) if end else "in training when this page was written"
    return f"{state}; epoch {done} of {planned}{duration}"


def _worst_labels(best: Event) -> dict[str, Any]:
    """The labels with their figures, the worst first; `hidden` is how many more there are."""
    labels = sorted(
        best.get("labels", {}).items(), key=lambda pair: (pair[1]["map50"] is None, pair[1]["map50"] or 0.0)
    )
    return {"shown": labels[:MAX_LABELS], "hidden": max(0, len(labels) - MAX_LABELS)}


def _compare_with_test(best: Event, test: Mapping[str, float]) -> str:
    """What the mAP on the test images says of that on the validation images."""
    if test.get("map50") is None or best.get("map50") is None:
        return ""
    gap = best["map50"] - test["map50"]
    if gap > run_text.NOTABLE_GAP:
        return (
            f"That is {gap:.2f} below validation, by which the best epoch was chosen: expect the lower figure in use, "
            "and check whether both splits show the same."
        )
    if gap < -run_text.NOTABLE_GAP:
        return f"That is {-gap:.2f} above validation: the test images are easier, or too few to tell."
    return "Nothing was chosen by these images; the figure agrees with validation."
