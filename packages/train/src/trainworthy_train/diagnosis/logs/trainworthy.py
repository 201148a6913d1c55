"""`log.jsonl` of a run of `trainworthy train`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.objects import first_objects, objects
from trainworthy_train.types import SERIES

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def sniff(log: Log) -> bool:
    """Whether the file starts with a session of ours."""
    return any(str(entry.get("schema", "")).startswith("trainworthy.run/") for entry in first_objects(log))


def read(log: Log) -> list[Curves]:
    """The run. One that was resumed is one run, in which the later of two lines for a step counts."""
    run = CurvesBuilder("epoch")
    steps: dict[float, dict[str, Any]] = {}
    broken = 0
    for line, entry in objects(log):
        event = entry.get("event") if entry else None
        if entry is None or event is None:
            broken = broken or line
        elif event == "step":
            steps[number(entry.get("step")) or 0.0] = entry
        elif event == "epoch":
            _add_epoch(run, entry)
        else:
            _add_facts(run, entry)
    _add_steps(run, steps)
    if broken:
        run.note(f"Line {broken} is cut off or not an event: such lines are left out.")
    return [run.curves()] if run.points else []


def _add_facts(run: CurvesBuilder, entry: dict[str, Any]) -> None:
    """What the lines of sessions, findings and the end say."""
    facts = run.facts
    if entry["event"] == "session":
        run.planned = number(entry.get("planned_epochs")) or run.planned
        facts["pretrained"] = bool(entry.get("pretrained"))
        facts["steps_per_epoch"] = number(entry.get("steps_per_epoch"))
        facts |= {fact: entry[fact] for fact in ("dataset", "model", "certificate") if entry.get(fact)}
    elif entry["event"] == "finding":
        facts.setdefault("findings", []).append(str(entry.get("kind", "")))
    elif entry["event"] == "end":
        facts["ended"] = str(entry.get("why", ""))
        test = entry.get("test")
        if isinstance(test, dict) and (map50 := number(test.get("map50"))) is not None:
            facts["test_map50"] = map50
        if facts["ended"] in {"finished", "stopped"}:
            facts["finished"] = True
        else:
            facts.pop("finished", None)


def _add_epoch(run: CurvesBuilder, entry: dict[str, Any]) -> None:
    epoch = number(entry.get("epoch"))
    if epoch is None:
        return
    run.reach(epoch)
    for name in SERIES:
        if name in entry:
            run.add(name, epoch, _value(entry, entry, name, name))
    for group, prefix in (("parts", "loss"), ("val_parts", "val_loss")):
        parts = entry.get(group)
        if not isinstance(parts, dict):
            continue
        for part in parts:
            run.add(f"{prefix}/{part}", epoch, _value(entry, parts, part, f"{group}/{part}"))
    if isinstance(entry.get("labels"), dict):
        run.facts["labels"] = entry["labels"]


def _value(entry: dict[str, Any], values: dict[str, Any], key: str, path: str) -> float | None:
    """The value; NaN if it is null and `path` is in the entry's list "nan", because JSON has no NaN."""
    not_finite = entry.get("nan")
    if values.get(key) is None and isinstance(not_finite, list) and path in not_finite:
        return math.nan
    return number(values.get(key))


def _add_steps(run: CurvesBuilder, steps: dict[float, dict[str, Any]]) -> None:
    """What only steps tell: where a loss was NaN or infinite, and the losses of a run that ended in its first epoch."""
    values = {step: _value(entry, entry, "loss", "loss") for step, entry in sorted(steps.items())}
    bad = [step for step, value in values.items() if value is not None and not math.isfinite(value)]
    length = run.facts.pop("steps_per_epoch", None)
    if bad:
        run.facts["nan_loss_at"] = bad[0] / length if length else bad[0]
    if values and not run.points:
        run.unit = "epoch" if length else "iteration"
        for step, value in values.items():
            run.add("loss", step / length if length else step, value)
        run.note("No epoch is complete: the losses are those of single steps.")


FORMAT = LogFormat(
    title="trainworthy log.jsonl, or the folder of a run",
    recognized_by='JSON lines with `"event"`, the first of them with `"schema": "trainworthy.run/1"`',
    contains=(
        "losses and their parts, validation losses, mAP@50, mAP, IoU, precision, recall, the three probes, "
        "learning rate; planned epochs, pretrained weights, findings, how the run ended"
    ),
    not_read=(
        "losses of single steps, except where a loss was NaN, and those of a run that ended in its first "
        "epoch"
    ),
    order=10,
    sniff=sniff,
    read=read,
)
