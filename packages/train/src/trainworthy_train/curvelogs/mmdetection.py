"""`*.log.json` of mmdetection (mmcv 1), `vis_data/*.json` and `scalars.json` of mmengine."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from trainworthy_train.curvelogs import names
from trainworthy_train.curvelogs.draft import Draft, Runs
from trainworthy_train.curvelogs.log import number
from trainworthy_train.curvelogs.objects import first, objects

if TYPE_CHECKING:
    from trainworthy_train.curvelogs.log import Log
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
    length = epoch_length(good)
    runs = Runs(lambda: Draft("epoch" if length else "iteration"))
    for entry in good:
        step = _step(entry, length)
        if not math.isfinite(step):
            continue
        draft = runs.at(step)
        validation = entry.get("mode") == "val" or "coco/bbox_mAP" in entry
        for key, value in entry.items():
            name = names.series(key)
            if name.startswith("loss") and validation:
                name = f"val_{name}"
            if name:
                draft.add(name, step, number(value))
    broken = next((line for line, entry in entries if entry is None), 0)
    for draft in runs.drafts:
        _notes(draft, str(entries[0][1]) if entries else "", length, broken)
    return runs.curves("mmdetection")


def _notes(draft: Draft, environment: str, length: float, broken: int) -> None:
    planned = re.search(r"max_epochs=(\d+)|total_epochs = (\d+)", environment)
    if planned and draft.unit == "epoch":
        draft.planned = float(planned[1] or planned[2])
    if draft.unit == "epoch":
        draft.note(f"Steps are epochs: {length:g} iterations each, by the iterations that are logged.")
        if draft.first is not None and draft.first > 1:
            draft.facts["continued"] = True
            draft.note("The log does not begin with the first epoch: the run continues another.")
    if broken:
        draft.note(f"Line {broken} is cut off or no JSON object: such lines are left out.")


def epoch_length(entries: list[dict[str, Any]]) -> float:
    """How many iterations an epoch has, by the highest that is logged; 0 where iterations run through all epochs."""
    train = [e for e in entries if e.get("mode", "train") == "train" and "epoch" in e and "loss" in e]
    highest: dict[float, float] = {}
    for entry in train:
        epoch, place = number(entry["epoch"]), number(entry.get("iter", entry.get("step")))
        if epoch is not None and place is not None:
            highest[epoch] = max(highest.get(epoch, 0), place)
    if not highest or (len(highest) == 1 and max(highest) > 1e6):
        return 0
    return max(highest.values())


def _step(entry: dict[str, Any], length: float) -> float:
    place = number(entry.get("iter", entry.get("step")))
    epoch = number(entry.get("epoch"))
    assert place is not None
    if not length or epoch is None:
        return place
    if entry.get("mode") == "val":
        return epoch
    return epoch - 1 + min(place / length, 1)
