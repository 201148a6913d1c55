"""`metrics.json` of detectron2: one JSON object a logged iteration, metrics in percent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainworthy_train.curvelogs import names
from trainworthy_train.curvelogs.draft import Draft, Runs
from trainworthy_train.curvelogs.log import number
from trainworthy_train.curvelogs.objects import first, objects

if TYPE_CHECKING:
    from trainworthy_train.curvelogs.log import Log
    from trainworthy_train.types import Curves

TITLE = "detectron2 metrics.json"
KNOWN_BY = 'JSON lines with "iteration", and "total_loss" or "bbox/AP"'


def sniff(log: Log) -> bool:
    """Whether an object near the beginning has detectron2's keys."""
    return any("iteration" in entry and ("total_loss" in entry or "bbox/AP" in entry) for entry in first(log))


def read(log: Log) -> list[Curves]:
    """The runs of the file, to which every new one appends; steps are iterations."""
    runs = Runs(lambda: Draft("iteration"))
    broken = 0
    for line, entry in objects(log):
        step = number(entry.get("iteration")) if entry else None
        if entry is None or step is None or not math.isfinite(step):
            broken = broken or line
            continue
        draft = runs.at(step)
        for key, value in entry.items():
            name = names.series(key)
            if name and not (isinstance(value, float) and math.isnan(value) and name in {"map", "map50"}):
                draft.add(name, step, number(value))
        eta, pace = number(entry.get("eta_seconds")), number(entry.get("time"))
        if eta and pace:  # the estimate is rough: it says how far the run was to go, not where exactly
            draft.planned = step + eta / pace
    for draft in runs.drafts:
        if any(name in draft.points for name in ("map", "map50")):
            draft.percent()
        if draft.planned:
            draft.planned = float(round(draft.planned))
        if broken:
            draft.note(f"Line {broken} is cut off or no object with an iteration: such lines are left out.")
    return runs.curves("detectron2")
