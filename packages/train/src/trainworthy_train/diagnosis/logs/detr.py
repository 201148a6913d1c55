"""`log.txt` of DETR and its descendants (RF-DETR, RT-DETR, D-FINE): one JSON object per epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainworthy_train.diagnosis.logs.shared.builder import CurvesBuilder, RunSplitter
from trainworthy_train.diagnosis.logs.shared.format import LogFormat
from trainworthy_train.diagnosis.logs.shared.log import number
from trainworthy_train.diagnosis.logs.shared.names import series_name
from trainworthy_train.diagnosis.logs.shared.objects import first_objects, objects

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.shared.log import Log
    from trainworthy_train.types import Curves


def sniff(log: Log) -> bool:
    """Whether an object near the beginning has DETR's keys."""
    return any(
        "epoch" in entry and ("train_loss" in entry or "test_coco_eval_bbox" in entry)
        for entry in first_objects(log)
    )


def read(log: Log) -> list[Curves]:
    """The runs; epochs count from 0 in the file."""
    runs = RunSplitter()
    broken = 0
    for line, entry in objects(log):
        epoch = number(entry.get("epoch")) if entry else None
        if entry is None or epoch is None or not 0 <= epoch < 1e7:
            broken = broken or line
            continue
        _epoch(runs.at(epoch + 1, one_line_per_step=True), epoch + 1, entry)
    for run in runs:
        if broken:
            run.note(f"Line {broken} is cut off or not an object with an epoch: such objects are left out.")
    return runs.curves()


def _epoch(run: CurvesBuilder, step: float, entry: dict[str, Any]) -> None:
    for key, value in entry.items():
        name = series_name(key)
        if name.startswith(("loss", "val_loss", "lr")):
            run.add(name, step, number(value))
    scores = entry.get("test_coco_eval_bbox")
    if isinstance(scores, list) and len(scores) >= 2:  # AP, AP50, AP75, ...
        run.add("map", step, number(scores[0]))
        run.add("map50", step, number(scores[1]))
    results = entry.get("test_results_json")
    table = results.get("class_map") if isinstance(results, dict) else None
    if isinstance(table, list):
        for row in table:
            if isinstance(row, dict) and row.get("class") == "all":
                run.add("precision", step, number(row.get("precision")))
                run.add("recall", step, number(row.get("recall")))
        run.facts["classes"] = sum(isinstance(row, dict) and row.get("class") != "all" for row in table)


FORMAT = LogFormat(
    title="DETR or RF-DETR log.txt",
    recognized_by=(
        'JSON objects, one per line or pretty-printed, with `"epoch"`, and `"train_loss"` or '
        '`"test_coco_eval_bbox"`'
    ),
    contains=(
        "both losses and their parts, mAP@50, mAP, learning rate; RF-DETR's precision, recall and number of "
        "classes"
    ),
    not_read="unscaled losses, averaged (EMA) weights",
    order=60,
    sniff=sniff,
    read=read,
)
