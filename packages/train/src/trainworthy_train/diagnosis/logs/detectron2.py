"""`metrics.json` of detectron2: one JSON object a logged iteration, metrics in percent."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number
from trainworthy_train.diagnosis.logs.objects import first, objects

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "detectron2 metrics.json"
KNOWN_BY = 'JSON lines with "iteration", and "total_loss" or "bbox/AP"'


def sniff(log: Log) -> bool:
    """Whether an object near the beginning has detectron2's keys."""
    return any("iteration" in entry and ("total_loss" in entry or "bbox/AP" in entry) for entry in first(log))


def read(log: Log) -> list[Curves]:
    """The runs of the file, to which every new one appends; steps are iterations."""
    runs = Runs(lambda: Draft("iteration"))
    goals: dict[int, list[float]] = {}
    broken = 0
    for line, entry in objects(log):
        step = number(entry.get("iteration")) if entry else None
        if entry is None or step is None or not math.isfinite(step):
            broken = broken or line
            continue
        # A run that died after its first line, and one that began again: the same iteration trained twice.
        again = bool(runs.drafts) and "total_loss" in entry and step in runs.drafts[-1].points.get("loss", {})
        draft = runs.at(step, once=again)
        for key, value in entry.items():
            name = names.series(key)
            if name and not (isinstance(value, float) and math.isnan(value) and name in {"map", "map50"}):
                draft.add(name, step, number(value))
        eta, pace = number(entry.get("eta_seconds")), number(entry.get("time"))
        if eta and pace:
            goals.setdefault(id(draft), []).append(step + eta / pace)
    for draft in runs.drafts:
        if any(name in draft.points for name in ("map", "map50")):
            draft.percent()
        if id(draft) in goals:  # each estimate is rough, and detectron2 logs nothing better
            draft.planned = float(round(statistics.median(goals[id(draft)]), -1))
        if broken:
            draft.note(f"Line {broken} is cut off or no object with an iteration: such lines are left out.")
    return runs.curves("detectron2")
