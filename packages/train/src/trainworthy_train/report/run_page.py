"""A run's page: what it is, how it goes, what its curves say, and what to do next. Redrawn after every epoch."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import numpy as np

from trainworthy_audit.errors import TrainworthyError
from trainworthy_train import runs
from trainworthy_train.diagnosis import alarms, audit_facts, diagnose
from trainworthy_train.diagnosis.features import finite
from trainworthy_train.diagnosis.stopping import MIN_EVALUATIONS
from trainworthy_train.errors import RunError
from trainworthy_train.report import charts, run_text
from trainworthy_train.report.templating import page_style, template
from trainworthy_train.report.view import describe
from trainworthy_train.runs.duration import format_duration
from trainworthy_train.types import Series

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainworthy_train.diagnosis.audit_facts import AuditFacts
    from trainworthy_train.report.charts import Panel, Trace
    from trainworthy_train.runs import Event, Run
    from trainworthy_train.types import Curves, Diagnosis

PAGE = "index.html"

#: Steps of the log that are read to be drawn: a line has fewer pixels, and a page is drawn after every epoch.
STEPS = 4000

#: How the log's lines of steps begin; of a long run nearly all lines are such, and most are passed over unread.
STEP = b'{"event": "step"'

#: Labels in the table, the worst ones; metrics.csv has all.
LABELS = 100

#: Of the probes, in mAP@50: what confusing labels costs, and what training images are ahead of validation images,
#: before it is worth a warning; and the mAP on training images below which they have not been learnt.
CONFUSED, AHEAD, UNLEARNT = 0.1, 0.2, 0.5

FIGURES = ("map50", "map", "precision", "recall", "iou", "map50_golden")

ENDS = {
    "finished": "finished: all that was planned is done",
    "stopped": "stopped: a better mAP had become unlikely",
    "time-budget": "ended: the time budget is spent",
    "interrupted": "interrupted",
    "nan-loss": "ended: the loss became NaN",
    "dataset-changed": "ended: the dataset was changed while it was trained on",
}


class Probe(NamedTuple):
    """One question to the detector, and what the answer means; `gap` is to the mAP@50 on validation images."""

    question: str
    value: float
    gap: float
    kind: str  # "passed" or "warning"
    meaning: str


class Next(NamedTuple):
    """Something to do, and the command where there is one."""

    what: str
    command: str = ""


def write(run_dir: Path) -> Path:
    """Draw the page of the run in `run_dir` anew, whole or not at all; returns it.

    It takes what the run's log and record say, and the audit beside the certificate where that is still there.
    Raises `OSError` where the page cannot be written.
    """
    run = runs.Run(run_dir)
    runs.write_atomically(run.file(PAGE), render(run).encode())
    return run.file(PAGE)


def render(run: Run) -> str:
    """The page of a run."""
    log, steps = _read(run.file(runs.LOG))
    sessions = [event for event in log if event["event"] == "session"]
    session = sessions[-1] if sessions else {}
    rows = runs.latest(log, "epoch")
    best = runs.best_epoch(rows) or {}
    end: Event = log[-1] if log and log[-1]["event"] == "end" else {}
    record = _record(run)
    curves = runs.curves(log)
    audit = audit_facts.with_run_record(_audit(run, session), record)
    diagnosis = diagnose(curves, audit, source=str(run.folder))
    early = not end and len(rows) < min(MIN_EVALUATIONS, session.get("planned_epochs") or MIN_EVALUATIONS)
    return template("run.html.j2").render(
        run=run,
        name=run.name,
        drawn_at=runs.now().replace("T", " ").replace("+00:00", " UTC"),
        state=_state(end, rows, session),
        session=session,
        sessions=sessions,
        record=record,
        settings=run_text.spelled(session.get("settings", {})),
        augmentation=run_text.spelled(session.get("settings", {}).get("augmentation", {})),
        view=describe(diagnosis),
        early=early,
        alarm=None if end else alarms.alarm(curves),
        panels=_panels(curves, steps, session, best, diagnosis=None if early else diagnosis),
        each=session.get("steps_per_epoch", 0),
        best=best,
        rows=rows,
        figures=[(run_text.FIGURES[name], best[name]) for name in FIGURES if best.get(name) is not None],
        probes=probes(best),
        labels=_labels(best),
        findings=[event for event in log if event["event"] == "finding"],
        test=end.get("test") or {},
        test_said=_test_said(best, end.get("test") or {}),
        nexts=_nexts(run, record, end, rows),
        audit_page=_beside(run, audit.file, PAGE),
        files=_files(run),
        style=page_style("run.css"),
    )


# ------------------------------------------------------------------------------------------------------------
# What is known of the run


def _read(file: Path) -> tuple[list[Event], list[Event]]:
    """The log's lines but those of steps, and of the steps so many as can be drawn, the last one among them."""
    told: list[Event] = []
    lines: list[bytes] = []
    with contextlib.suppress(FileNotFoundError), file.open("rb") as handle:
        for line in handle:
            if line.startswith(STEP):
                lines.append(line)
            elif (event := _event(line)) is not None:
                told.append(event)
    kept = lines[:: -max(1, math.ceil(len(lines) / STEPS))]
    steps = [event for line in reversed(kept) if (event := _event(line)) is not None]
    return told, runs.latest(steps, "step")


def _event(line: bytes) -> Event | None:
    """A line of the log; None where it is torn."""
    try:
        event: Any = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _record(run: Run) -> Mapping[str, Any]:
    try:
        return run.record()
    except RunError:
        return {}


def _audit(run: Run, session: Event) -> AuditFacts:
    """The facts of the audit beside the certificate, where it is still there."""
    file = str(session.get("certificate", {}).get("file") or "")
    # As it was given, from the folder in which training was started: most often the one that holds runs/.
    for place in (Path(file), run.folder.resolve().parent.parent.parent / file) if file else ():
        found = place.with_name("audit.json")
        with contextlib.suppress(OSError, TrainworthyError):
            return _facts(found, found.stat().st_mtime_ns)
    return audit_facts.AuditFacts()


@functools.lru_cache(maxsize=4)
def _facts(file: Path, _: int) -> AuditFacts:
    """Those of an audit.json, read once: it may be long, and pages are drawn often."""
    return audit_facts.load(file)


def _beside(run: Run, file: str, name: str) -> str:
    """The address, as seen from the run's page, of `name` beside `file`; "" where there is none."""
    target = Path(file).with_name(name) if file else None
    if target is None or not target.is_file():
        return ""
    with contextlib.suppress(ValueError):  # on another drive
        return quote(Path(os.path.relpath(target, run.folder)).as_posix())
    return ""


def _files(run: Run) -> list[tuple[str, str]]:
    told = {
        runs.TABLE: "the epochs as a table",
        runs.LOG: "everything that happened, a line each",
        runs.RECORD: "what went in",
        "certificate.json": "the certificate of the dataset, as it was sealed",
        runs.BEST: "the best weights",
        runs.LAST: "what going on needs",
    }
    return [(name, what) for name, what in told.items() if run.file(name).exists()]


# ------------------------------------------------------------------------------------------------------------
# Charts


def _panels(
    curves: Curves, steps: Sequence[Event], session: Event, best: Event, *, diagnosis: Diagnosis | None
) -> list[Panel]:
    """Losses and mAP large, the rest small; all over the same epochs. The evidence of `diagnosis` is shaded."""
    loss, rate = (_of_steps(steps, name, session.get("steps_per_epoch")) for name in ("loss", "lr"))
    losses = charts.traces(curves, charts.LOSSES)
    if loss is not None:
        losses = (
            [
                charts.Trace(one.style, one.title, one.series, loss if one.style == "loss" else None)
                for one in losses
            ]
            if losses
            else [charts.Trace("loss", "training loss", loss)]
        )
    groups: dict[str, list[Trace]] = {
        "Loss": losses,
        "mAP": charts.traces(
            curves,
            (("map50", "mAP@50"), ("map", "mAP@50-95"), ("map50_golden", "mAP@50 on the golden set")),
        ),
        "Precision, recall and IoU": charts.traces(
            curves, (("precision", "precision"), ("recall", "recall"), ("iou", "IoU of what is found"))
        ),
        "Probes": charts.traces(
            curves,
            (
                ("map50", "mAP@50"),
                ("map50_any_class", "labels aside"),
                ("map50_train", "on training images"),
            ),
        ),
        "Parts of the training loss": _parts(curves, "loss/"),
        "Parts of the validation loss": _parts(curves, "val_loss/"),
        "Learning rate": [charts.Trace("lr", "learning rate", rate)] if rate is not None else [],
    }
    edges = charts.step_range([one for group in groups.values() for one in group])
    shaded = tuple(one.span for one in diagnosis.evidence if one.span is not None) if diagnosis else ()
    unit_scale = {"mAP", "Precision, recall and IoU", "Probes"}
    return [
        charts.panel(
            title,
            group,
            edges,
            unit_scale=title in unit_scale,
            best=best.get("epoch"),
            spans=shaded if title in {"Loss", "mAP"} else (),
        )
        for title, group in groups.items()
        if group
    ]


def _of_steps(steps: Sequence[Event], name: str, each: float | None) -> Series | None:
    """A figure of the steps, over epochs: step `each` is at 1, as the epoch that it completes."""
    if not steps or not each:
        return None
    place = np.array([event["step"] / each for event in steps])
    value = np.array(
        [math.nan if event.get(name) is None else event[name] for event in steps], dtype=np.float64
    )
    return finite(Series(place, value))


def _parts(curves: Curves, prefix: str) -> list[Trace]:
    """The parts of a loss, where there is more than one."""
    names = sorted(name for name in curves.series if name.startswith(prefix))
    found = charts.traces(curves, [(name, name.removeprefix(prefix)) for name in names])
    lines = [charts.Trace(f"n{number % 6}", one.title, one.series) for number, one in enumerate(found)]
    return lines if len(lines) > 1 else []


# ------------------------------------------------------------------------------------------------------------
# What it means


def _state(end: Event, rows: Sequence[Event], session: Event) -> str:
    done, planned = (rows[-1]["epoch"] if rows else 0), session.get("planned_epochs", "?")
    spent = f", {format_duration(rows[-1]['seconds'])}" if rows and "seconds" in rows[-1] else ""
    what = ENDS.get(end["why"], end["why"]) if end else "in training when this page was drawn"
    return f"{what}; epoch {done} of {planned}{spent}"


def probes(row: Event) -> list[Probe]:
    """What the probes of an epoch answer, those that it has."""
    plain = row.get("map50")
    if plain is None:
        return []
    found = []
    for name, question, judge in _PROBES:
        value = row.get(name)
        if value is not None:
            found.append(Probe(question, value, value - plain, *judge(value, value - plain)))
    return found


def _confusion(_: float, gap: float) -> tuple[str, str]:
    if gap > CONFUSED:
        return "warning", (
            "Objects are found but called by wrong names. Look at the labels below that do worst, and in the audit at "
            "ids that are shifted or disagree with the names (C002, C007), names that look alike (C005) and boxes "
            "with two labels (B005)."
        )
    return (
        "passed",
        "Labels are hardly confused: what mAP lacks, it lacks in finding objects and placing boxes.",
    )


def _memory(value: float, gap: float) -> tuple[str, str]:
    if gap > AHEAD:
        return "warning", (
            "It knows the images that it was shown much better than others: it learns them by heart, or the "
            "validation images show something else. More varied images help; more epochs do not."
        )
    if value < UNLEARNT:
        return "warning", (
            "It does not know even the images that it was shown: it was trained too briefly or at a rate that does "
            "not fit, the objects are too small at this image size, or boxes and labels contradict one another."
        )
    if gap < -CONFUSED:
        return "warning", (
            "It does worse on images that it was shown than on others: the validation images are easier, or too few."
        )
    return "passed", "There is no gap: what it learnt holds for images that it was not shown."


def _golden(_: float, gap: float) -> tuple[str, str]:
    if abs(gap) > run_text.GAP:
        return "warning", (
            "The two differ much: the validation images do not stand for what the golden set shows. Trust the golden "
            "set, and look for copies of training images among the validation images (D003)."
        )
    return "passed", "Validation and golden set agree."


_PROBES = (
    ("map50_any_class", "with all labels taken for one", _confusion),
    ("map50_train", "on a few training images, always the same", _memory),
    ("map50_golden", "on the golden set", _golden),
)


def _labels(best: Event) -> dict[str, Any]:
    """The worst labels first; `hidden` is how many more there are."""
    known = sorted(
        best.get("labels", {}).items(), key=lambda pair: (pair[1]["map50"] is None, pair[1]["map50"] or 0.0)
    )
    return {"shown": known[:LABELS], "hidden": max(0, len(known) - LABELS)}


def _test_said(best: Event, test: Mapping[str, float]) -> str:
    if test.get("map50") is None or best.get("map50") is None:
        return ""
    gap = best["map50"] - test["map50"]
    if gap > run_text.GAP:
        return (
            f"That is {gap:.2f} below validation, by which the best epoch was chosen: expect the lower figure in use, "
            "and look whether both splits show the same."
        )
    if gap < -run_text.GAP:
        return f"That is {-gap:.2f} above validation: the test images are easier, or too few to tell."
    return "Nothing was chosen by these images; the figure agrees with validation."


def _nexts(run: Run, record: Mapping[str, Any], end: Event, rows: Sequence[Event]) -> list[Next]:
    """What to do next, most urgent first."""
    name = shlex.quote(run.name)
    root = shlex.quote(str(record.get("dataset", {}).get("root", "DATASET")))
    why = end.get("why")
    found = []
    if not end:
        found.append(Next("Reload this page after the next epoch. Ctrl-C where it trains saves and ends."))
    place = f"--name {shlex.quote(run.folder.parent.name)}" if run.number else f"--out {name}"
    if why == "interrupted":
        found.append(Next("Go on where it was interrupted", f"trainworthy train {root} {place} --resume"))
    if why == "nan-loss":
        rate = record.get("settings", {}).get("lr")
        slower = f" --lr {rate / 3:.2g}" if rate else ""
        found.append(
            Next("Look at the files named below, then train more slowly", f"trainworthy train {root}{slower}")
        )
    if why == "dataset-changed":
        found.append(Next("Have the new content approved", f"trainworthy audit {root}"))
    if rows:
        found.append(Next("See what it finds", f"trainworthy predict {name} IMAGES"))
    if run.number > 1:
        before = shlex.quote(f"{run.folder.parent.name}:v{run.number - 1}")
        found.append(Next("Compare it with the version before", f"trainworthy runs compare {before} {name}"))
    if end and rows:
        found.append(
            Next("Change a setting, from these weights", f"trainworthy train {root} --continue-from {name}")
        )
        found.append(Next("Use it in another program", f"trainworthy export {name} --to onnx"))
    return found
