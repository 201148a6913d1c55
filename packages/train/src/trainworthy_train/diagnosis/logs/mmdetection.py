"""`*.log.json` of mmdetection (mmcv 1), `vis_data/*.json` and `scalars.json` of mmengine."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.diagnosis.logs.shared.objects import first_objects, objects
from trainworthy_train.diagnosis.logs.shared.openmmlab import from_configuration

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def sniff(log: Log) -> bool:
    """Whether an object near the beginning is a line of mmcv or mmengine."""
    return log.head.startswith('{"env_info": ') or any(
        ("mode" in entry and "iter" in entry)
        or ("data_time" in entry and "iter" in entry and "loss" in entry)
        or "coco/bbox_mAP" in entry
        for entry in first_objects(log)
    )


def read(log: Log) -> list[Curves]:
    """The runs; steps are epochs and fractions of them, or iterations if no epoch is logged."""
    entries = list(objects(log))
    entries_with_step = [
        entry for _, entry in entries if entry and number(entry.get("iter", entry.get("step"))) is not None
    ]
    length, continuous = _epoch_length(entries_with_step)
    runs = RunSplitter("epoch" if length else "iteration")
    for entry in entries_with_step:
        step = _step(entry, length, continuous=continuous)
        if not math.isfinite(step):
            continue
        run = runs.at(step)
        for key, value in entry.items():
            name = series_name(key)
            if name:
                run.add(
                    f"val_{name}" if name.startswith("loss") and _validates(entry) else name,
                    step,
                    number(value),
                )
    environment = str((entries[0][1] or {}).get("config", "")) if entries else ""
    broken = next((line for line, entry in entries if entry is None), 0)
    for run in runs:
        _notes(run, environment, length, broken)
    return runs.curves()


def _notes(run: CurvesBuilder, environment: str, length: float, broken: int) -> None:
    facts, planned = from_configuration(environment)
    run.facts |= facts
    if run.unit == "epoch":
        run.planned = planned
        run.note(f"Steps are epochs: {length:g} iterations each, by the iterations that are logged.")
        if run.first_step is not None and run.first_step > 1:
            run.facts.setdefault("continued", True)
            run.note("The log does not start with the first epoch: the run continues another.")
    if broken:
        run.note(f"Line {broken} is cut off or not a JSON object: such lines are left out.")


def _epoch_length(entries: list[dict[str, Any]]) -> tuple[float, bool]:
    """How many iterations an epoch has, by the highest that is logged, and whether their count is continuous.

    It is continuous where it does not start again with each epoch, as in mmengine. The length is 0 if it is unknown:
    no epoch is logged, or the log ends within its only one.
    """
    by_epoch: dict[float, list[float]] = {}
    for entry in entries:
        epoch, iteration = number(entry.get("epoch")), number(entry.get("iter", entry.get("step")))
        if epoch is not None and iteration is not None and not _validates(entry):
            by_epoch.setdefault(epoch, []).append(iteration)
    if not by_epoch or (len(by_epoch) == 1 and not any(_validates(entry) for entry in entries)):
        return 0, False
    in_order = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    if len(in_order) > 1 and all(min(b) > max(a) for a, b in itertools.pairwise(in_order)):
        return max(max(iterations) / epoch for epoch, iterations in by_epoch.items() if epoch > 0), True
    return max(max(iterations) for iterations in in_order), False


def _validates(entry: dict[str, Any]) -> bool:
    return entry.get("mode") == "val" or any(key.endswith("bbox_mAP") for key in entry)


def _step(entry: dict[str, Any], length: float, *, continuous: bool) -> float:
    """The step of a line; of an evaluation the end of its epoch, which mmengine logs as `step`."""
    iteration, epoch = number(entry.get("iter", entry.get("step"))), number(entry.get("epoch"))
    assert iteration is not None
    if not length:
        return iteration
    if _validates(entry) or epoch is None:
        return iteration if epoch is None else epoch
    return iteration / length if continuous else epoch - 1 + min(iteration / length, 1)


FORMAT = LogFormat(
    title="mmdetection *.log.json, or vis_data/*.json of version 3",
    recognized_by=(
        'JSON lines with `"mode"` and `"iter"`, or `"iter"`, `"loss"` and `"data_time"`, or `"coco/bbox_mAP"`'
    ),
    contains=(
        "loss and its parts, learning rate, mAP@50 and mAP; from its configuration: planned epochs, classes, "
        "the weights that it started from or continues"
    ),
    not_read="metrics by object size, masks",
    order=40,
    sniff=sniff,
    read=read,
)
