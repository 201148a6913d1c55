"""`log.txt` of DETR and its descendants (RF-DETR, RT-DETR, D-FINE): one JSON object an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs
from trainworthy_train.diagnosis.logs.log import number
from trainworthy_train.diagnosis.logs.objects import first, objects

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
    from trainworthy_train.types import Curves

TITLE = "DETR or RF-DETR log.txt"
KNOWN_BY = (
    'JSON objects, one a line or pretty-printed, with "epoch" and "train_loss" or "test_coco_eval_bbox"'
)


def sniff(log: Log) -> bool:
    """Whether an object near the beginning has DETR's keys."""
    return any(
        "epoch" in entry and ("train_loss" in entry or "test_coco_eval_bbox" in entry) for entry in first(log)
    )


def read(log: Log) -> list[Curves]:
    """The runs; epochs count from 0 in the file. A run that begins again is a run of its own."""
    runs = Runs()
    broken = 0
    for line, entry in objects(log):
        epoch = number(entry.get("epoch")) if entry else None
        if entry is None or epoch is None or not 0 <= epoch < 1e7:
            broken = broken or line
            continue
        _epoch(runs.at(epoch + 1, once=True), epoch + 1, entry)
    for draft in runs.drafts:
        if broken:
            draft.note(f"Line {broken} is cut off or no object with an epoch: such objects are left out.")
    return runs.curves("detr")


def _epoch(draft: Draft, step: float, entry: dict[str, Any]) -> None:
    for key, value in entry.items():
        name = names.series(key)
        if name.startswith(("loss", "val_loss", "lr")):
            draft.add(name, step, number(value))
    scores = entry.get("test_coco_eval_bbox")
    if isinstance(scores, list) and len(scores) >= 2:  # AP, AP50, AP75, ...
        draft.add("map", step, number(scores[0]))
        draft.add("map50", step, number(scores[1]))
    results = entry.get("test_results_json")
    table = results.get("class_map") if isinstance(results, dict) else None
    if isinstance(table, list):
        for row in table:
            if isinstance(row, dict) and row.get("class") == "all":
                draft.add("precision", step, number(row.get("precision")))
                draft.add("recall", step, number(row.get("recall")))
        draft.facts["classes"] = sum(isinstance(row, dict) and row.get("class") != "all" for row in table)
