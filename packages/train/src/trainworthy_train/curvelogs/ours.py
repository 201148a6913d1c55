"""`log.jsonl` of a run of `trainworthy train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_train.curvelogs.draft import Draft
from trainworthy_train.curvelogs.log import number
from trainworthy_train.curvelogs.objects import first, objects
from trainworthy_train.types import SERIES

if TYPE_CHECKING:
    from trainworthy_train.curvelogs.log import Log
    from trainworthy_train.types import Curves

TITLE = "trainworthy log.jsonl, or the folder of a run"
KNOWN_BY = 'JSON lines with "event", and "schema": "trainworthy.run/1"'


def sniff(log: Log) -> bool:
    """Whether the file begins with a session of ours."""
    return any(str(entry.get("schema", "")).startswith("trainworthy.run/") for entry in first(log))


def read(log: Log) -> list[Curves]:
    """The run; a resumed one is one run, and of what it logged twice the later counts."""
    draft = Draft("epoch")
    steps: dict[float, tuple[float, float]] = {}  # epoch as a fraction -> (loss, learning rate)
    length = 0.0
    broken = 0
    for line, entry in objects(log):
        event = entry.get("event") if entry else None
        if entry is None or event is None:
            broken = broken or line
        elif event == "session":
            length = number(entry.get("steps_per_epoch")) or length
            _session(draft, entry)
        elif event == "step":
            _nan(draft, entry)
            place = _place(entry, length)
            if place is not None:
                steps[place] = _value(entry, "loss"), _value(entry, "lr")
        elif event == "epoch":
            _epoch(draft, entry)
        elif event == "finding":
            draft.facts.setdefault("findings", []).append(str(entry.get("kind", "")))
        elif event == "end":
            draft.facts["ended"] = str(entry.get("why", ""))
    for place, (loss, rate) in sorted(steps.items()):
        draft.add("lr", place, rate)
        if "loss" not in draft.points or place > max(draft.points["loss"]):
            draft.add("loss_now", place, loss)
    unfinished = draft.points.pop("loss_now", {})
    if "loss" not in draft.points and unfinished:
        draft.points["loss"] = unfinished
        draft.note("No epoch is complete: the losses are those of single steps.")
    if broken:
        draft.note(f"Line {broken} is cut off or no event: such lines are left out.")
    return [draft.curves("ours")] if draft.points else []


def _session(draft: Draft, entry: dict[str, Any]) -> None:
    draft.planned = number(entry.get("planned_epochs")) or draft.planned
    draft.facts["pretrained"] = bool(entry.get("pretrained"))
    for fact in ("dataset", "model", "certificate"):
        if entry.get(fact):
            draft.facts[fact] = entry[fact]
    if entry.get("resumed_at") is not None:
        draft.facts.setdefault("resumed_at", []).append(entry["resumed_at"])


def _epoch(draft: Draft, entry: dict[str, Any]) -> None:
    epoch = number(entry.get("epoch"))
    if epoch is None:
        return
    draft.reach(epoch)
    _nan(draft, entry)
    for name in SERIES:
        if name in entry:
            draft.add(name, epoch, _value(entry, name))
    for group, prefix in (("parts", "loss"), ("val_parts", "val_loss")):
        parts = entry.get(group)
        for part, value in parts.items() if isinstance(parts, dict) else ():
            draft.add(f"{prefix}/{part}", epoch, number(value))
    if isinstance(entry.get("labels"), dict):
        draft.facts["labels"] = entry["labels"]


def _nan(draft: Draft, entry: dict[str, Any]) -> None:
    if "loss" in (entry.get("nan") or ()):
        draft.facts.setdefault("nan_loss_at", number(entry.get("epoch")))


def _value(entry: dict[str, Any], name: str) -> float | None:
    """The value; NaN where the log has null because JSON has no NaN."""
    if entry.get(name) is None and name in (entry.get("nan") or ()):
        return float("nan")
    return number(entry.get(name))


def _place(entry: dict[str, Any], length: float) -> float | None:
    step = number(entry.get("step"))
    return step / length if step is not None and length else step
