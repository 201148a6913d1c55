"""`*.log.json` of mmdetection (mmcv 1), `vis_data/*.json` and `scalars.json` of mmengine."""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number
from trainworthy_train.diagnosis.logs.objects import first, objects

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "mmdetection *.log.json, or vis_data/*.json of version 3"
KNOWN_BY = 'JSON lines with "mode", "epoch" and "iter", or with "iter" and "loss_..." or "coco/bbox_mAP"'


def sniff(log: Log) -> bool:
    """Whether an object near the beginning is a line of mmcv or mmengine."""
    return log.head.startswith('{"env_info": ') or any(
        ("mode" in entry and "iter" in entry)
        or ("data_time" in entry and "iter" in entry and "loss" in entry)
        or "coco/bbox_mAP" in entry
        for entry in first(log)
    )


def read(log: Log) -> list[Curves]:
    """One run a file, or several; steps are epochs and fractions of them, or iterations where no epoch is logged."""
    entries = [(line, entry) for line, entry in objects(log)]
    good = [
        entry for _, entry in entries if entry and number(entry.get("iter", entry.get("step"))) is not None
    ]
    length, runs_on = _epochs(good)
    runs = Runs(lambda: Draft("epoch" if length else "iteration"))
    for entry in good:
        step = _step(entry, length, runs_on=runs_on)
        if not math.isfinite(step):
            continue
        draft = runs.at(step)
        for key, value in entry.items():
            name = names.series(key)
            if name.startswith("loss") and _validates(entry):
                name = f"val_{name}"
            if name:
                draft.add(name, step, number(value))
    environment = str((entries[0][1] or {}).get("config", "")) if entries else ""
    broken = next((line for line, entry in entries if entry is None), 0)
    for draft in runs.drafts:
        _notes(draft, environment, length, broken)
    return runs.curves("mmdetection")


def configured(text: str) -> tuple[dict[str, Any], float | None]:
    """What the configuration that a log begins with tells: facts, and how many epochs were planned."""
    facts: dict[str, Any] = {}
    if classes := re.findall(r"num_classes=(\d{1,7})\b", text):
        facts["classes"] = int(classes[-1])
    if found := re.search(r"load_from = '([^']+)'", text):
        facts["pretrained"] = found[1]
    if found := re.search(r"resume_from = '([^']+)'", text):
        facts["continued"] = found[1]
    planned = re.search(r"max_epochs ?= ?(\d{1,7})\b|total_epochs = (\d{1,7})\b", text)
    return facts, float(planned[1] or planned[2]) if planned else None


def _notes(draft: Draft, environment: str, length: float, broken: int) -> None:
    facts, planned = configured(environment)
    draft.facts |= facts
    if draft.unit == "epoch":
        draft.planned = planned
    if draft.unit == "epoch":
        draft.note(f"Steps are epochs: {length:g} iterations each, by the iterations that are logged.")
        if draft.first is not None and draft.first > 1:
            draft.facts.setdefault("continued", True)
            draft.note("The log does not begin with the first epoch: the run continues another.")
    if broken:
        draft.note(f"Line {broken} is cut off or no JSON object: such lines are left out.")


def _epochs(entries: list[dict[str, Any]]) -> tuple[float, bool]:
    """How many iterations an epoch has, by the highest that is logged, and whether they run on through all epochs.

    0 where that is unknown: no epoch is logged, or the log breaks off within its only one. mmengine's run on.
    """
    places: dict[float, list[float]] = {}
    for entry in entries:
        epoch, place = number(entry.get("epoch")), number(entry.get("iter", entry.get("step")))
        if epoch is not None and place is not None and not _validates(entry):
            places.setdefault(epoch, []).append(place)
    if not places or (len(places) == 1 and not any(_validates(entry) for entry in entries)):
        return 0, False
    in_order = [places[epoch] for epoch in sorted(places)]
    runs_on = len(in_order) > 1 and all(min(b) > max(a) for a, b in itertools.pairwise(in_order))
    if runs_on:
        return max(max(found) / epoch for epoch, found in places.items() if epoch > 0), True
    return max(max(found) for found in in_order), False


def _validates(entry: dict[str, Any]) -> bool:
    return entry.get("mode") == "val" or any(key.endswith("bbox_mAP") for key in entry)


def _step(entry: dict[str, Any], length: float, *, runs_on: bool) -> float:
    """Where a line stands; an evaluation at the end of its epoch, which is mmengine's `step`."""
    place, epoch = number(entry.get("iter", entry.get("step"))), number(entry.get("epoch"))
    assert place is not None
    if not length:
        return place
    if _validates(entry) or epoch is None:
        return place if epoch is None else epoch
    return place / length if runs_on else epoch - 1 + min(place / length, 1)
