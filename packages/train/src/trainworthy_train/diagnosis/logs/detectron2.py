"""`metrics.json` of detectron2: one JSON object per logged iteration, metrics in percent."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs.shared.builder import RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.diagnosis.logs.shared.objects import first_objects, objects

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def sniff(log: Log) -> bool:
    """Whether an object near the beginning has detectron2's keys."""
    return any(
        "iteration" in entry and ("total_loss" in entry or "bbox/AP" in entry) for entry in first_objects(log)
    )


def read(log: Log) -> list[Curves]:
    """The runs of the file, to which every new one is appended; steps are iterations."""
    runs = RunSplitter("iteration")
    estimates: dict[int, list[float]] = {}  # of the last iteration, by run
    broken = 0
    for line, entry in objects(log):
        step = number(entry.get("iteration")) if entry else None
        if entry is None or step is None or not math.isfinite(step):
            broken = broken or line
            continue
        # A run that ended after its first line, and one that started again: the same iteration was trained twice.
        again = bool(len(runs)) and "total_loss" in entry and step in runs.current.points.get("loss", {})
        run = runs.at(step, one_line_per_step=again)
        for key, value in entry.items():
            name = series_name(key)
            if name and not (isinstance(value, float) and math.isnan(value) and name in {"map", "map50"}):
                run.add(name, step, number(value))
        eta, pace = number(entry.get("eta_seconds")), number(entry.get("time"))
        if eta and pace:
            estimates.setdefault(id(run), []).append(step + eta / pace)
    for run in runs:
        if any(name in run.points for name in ("map", "map50")):
            run.convert_percent()
        if id(run) in estimates:  # each is rough, but detectron2 logs nothing better
            run.planned = float(round(statistics.median(estimates[id(run)]), -1))
        if broken:
            run.note(f"Line {broken} is cut off or not an object with an iteration: such lines are left out.")
    return runs.curves()


FORMAT = LogFormat(
    title="detectron2 metrics.json",
    recognized_by='JSON lines with `"iteration"`, and `"total_loss"` or `"bbox/AP"`',
    contains=(
        "loss and its parts, learning rate, mAP@50 and mAP; roughly how long the run was to be, from the "
        "time that was left"
    ),
    not_read="single classes, masks, keypoints",
    order=50,
    sniff=sniff,
    read=read,
)
