"""What `trainworthy runs` prints with --json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_train import runs
from trainworthy_train.errors import RunError
from trainworthy_train.report import document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainworthy_train.runs import Event, Run


def list_runs() -> str:
    """{"schema": "trainworthy.runs/1", "runs": [summary of each]}."""
    return document.dump("runs", runs=[_summary(run) for run in runs.list_runs()])


def show(run: Run) -> str:
    """{"schema": "trainworthy.run-details/1", its summary, "record": run.json, "findings", "best", "test"}."""
    log = run.events()
    return document.dump(
        "run-details",
        **_summary(run),
        record=run.record(),
        findings=[_fields(event) for event in log if event["event"] == "finding"],
        best=_fields(runs.best_epoch(runs.latest(log, "epoch"))),
        test=_last(log, "end").get("test"),
    )


def log(run: Run) -> str:
    """{"schema": "trainworthy.run-log/1", "run", "events"}: of repeated epochs the one that counts, and no steps."""
    events = run.events()
    counted = {id(event) for event in runs.latest(events, "epoch")}
    kept = [
        event
        for event in events
        if event["event"] != "step" and (event["event"] != "epoch" or id(event) in counted)
    ]
    if not kept:
        raise RunError(f"{run.folder} has no log")
    return document.dump("run-log", run=run.name, events=kept)


def compare(chosen: Sequence[Run], page: Path) -> str:
    """{"schema": "trainworthy.comparison/1", "runs": [summary, settings and figures of each], "page"}."""
    return document.dump(
        "comparison",
        runs=[
            {
                **_summary(run),
                "fingerprint": run.record()["certificate"]["fingerprint"],
                "settings": run.record()["settings"],
                "best": _fields(run.best),
                "test": _last(run.events(), "end").get("test"),
            }
            for run in chosen
        ],
        page=str(page),
    )


def _summary(run: Run) -> dict[str, Any]:
    log = run.events()
    session = next((event for event in log if event["event"] == "session"), {})
    epochs = runs.latest(log, "epoch")
    best, end = runs.best_epoch(epochs), _last(log, "end")
    return {
        "run": run.name,
        "folder": str(run.folder),
        "state": run.state(),
        "stop_reason": end.get("why"),
        "model": session.get("model"),
        "epochs": epochs[-1]["epoch"] if epochs else 0,
        "planned_epochs": session.get("planned_epochs"),
        "best_epoch": best["epoch"] if best else None,
        "best_map50": best["map50"] if best else None,
        "test_map50": (end.get("test") or {}).get("map50"),
        "verdict": session.get("certificate", {}).get("verdict"),
        "begun": session.get("time"),
    }


def _last(log: Sequence[Event], kind: str) -> Event:
    return next((event for event in reversed(log) if event["event"] == kind), {})


def _fields(event: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if event is None else {key: value for key, value in event.items() if key != "event"}
