"""`log.jsonl` of a run of `trainworthy train`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs.draft import Draft
from trainworthy_train.diagnosis.logs.log import number
from trainworthy_train.diagnosis.logs.objects import first, objects
from trainworthy_train.types import SERIES

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "trainworthy log.jsonl, or the folder of a run"
KNOWN_BY = 'JSON lines with `"event"`, and `"schema": "trainworthy.run/1"`'


def sniff(log: Log) -> bool:
    """Whether the file begins with a session of ours."""
    return any(str(entry.get("schema", "")).startswith("trainworthy.run/") for entry in first(log))


def read(log: Log) -> list[Curves]:
    """The run; a resumed one is one run, and of what it logged twice the later counts."""
    draft = Draft("epoch")
    steps: dict[float, dict[str, Any]] = {}
    broken = 0
    for line, entry in objects(log):
        event = entry.get("event") if entry else None
        if entry is None or event is None:
            broken = broken or line
        elif event == "step":
            steps[number(entry.get("step")) or 0.0] = entry
        elif event == "epoch":
            _epoch(draft, entry)
        else:
            _facts(draft, entry)
    _steps(draft, steps)
    if broken:
        draft.note(f"Line {broken} is cut off or no event: such lines are left out.")
    return [draft.curves("trainworthy")] if draft.points else []


def _facts(draft: Draft, entry: dict[str, Any]) -> None:
    """What sessions, findings and the end tell."""
    facts = draft.facts
    if entry["event"] == "session":
        draft.planned = number(entry.get("planned_epochs")) or draft.planned
        facts["pretrained"] = bool(entry.get("pretrained"))
        facts["steps_per_epoch"] = number(entry.get("steps_per_epoch"))
        facts |= {fact: entry[fact] for fact in ("dataset", "model", "certificate") if entry.get(fact)}
    elif entry["event"] == "finding":
        facts.setdefault("findings", []).append(str(entry.get("kind", "")))
    elif entry["event"] == "end":
        facts["ended"] = str(entry.get("why", ""))
        if facts["ended"] in {"finished", "stopped"}:
            facts["finished"] = True
        else:
            facts.pop("finished", None)


def _epoch(draft: Draft, entry: dict[str, Any]) -> None:
    epoch = number(entry.get("epoch"))
    if epoch is None:
        return
    draft.reach(epoch)
    for name in SERIES:
        if name in entry:
            draft.add(name, epoch, _value(entry, entry, name, name))
    for group, prefix in (("parts", "loss"), ("val_parts", "val_loss")):
        parts = entry.get(group)
        if not isinstance(parts, dict):
            continue
        for part in parts:
            draft.add(f"{prefix}/{part}", epoch, _value(entry, parts, part, f"{group}/{part}"))
    if isinstance(entry.get("labels"), dict):
        draft.facts["labels"] = entry["labels"]


def _value(entry: dict[str, Any], place: dict[str, Any], key: str, path: str) -> float | None:
    """The value; NaN where the log has null, and names it among "nan", because JSON has no NaN."""
    missing = entry.get("nan")
    if place.get(key) is None and isinstance(missing, list) and path in missing:
        return math.nan
    return number(place.get(key))


def _steps(draft: Draft, steps: dict[float, dict[str, Any]]) -> None:
    """What only the steps tell: where a loss was no number, and the losses of a run that ended in its first epoch."""
    values = {step: _value(entry, entry, "loss", "loss") for step, entry in sorted(steps.items())}
    bad = [step for step, value in values.items() if value is not None and not math.isfinite(value)]
    length = draft.facts.pop("steps_per_epoch", None)
    if bad:
        draft.facts["nan_loss_at"] = bad[0] / length if length else bad[0]
    if values and not draft.points:
        draft.unit = "epoch" if length else "iteration"
        for step, value in values.items():
            draft.add("loss", step / length if length else step, value)
        draft.note("No epoch is complete: the losses are those of single steps.")
