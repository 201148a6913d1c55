"""`results.csv` of YOLOv5, and what it has in common with the later one of ultralytics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.curvelogs import names
from trainworthy_train.curvelogs.draft import Draft, Runs, setting
from trainworthy_train.curvelogs.log import number
from trainworthy_train.curvelogs.tables import fill, header, rows

if TYPE_CHECKING:
    from trainworthy_train.curvelogs.log import Log
    from trainworthy_train.types import Curves

TITLE = "YOLOv5 results.csv"
KNOWN_BY = "a CSV header with epoch, train/box_loss and metrics/mAP_0.5 or x/lr0"

#: Ultralytics switches mosaic off for so many epochs at the end, unless told otherwise (`close_mosaic`).
CLOSE_MOSAIC = 10


def sniff(log: Log) -> bool:
    """Whether the header is YOLOv5's."""
    columns = header(log.head)
    return columns[0] == "epoch" and any(c in {"metrics/mAP_0.5", "x/lr0"} for c in columns)


def read(log: Log) -> list[Curves]:
    """One run, or several that were appended to one file; epochs count from 0 in the file."""
    return table(log, "yolov5_csv", settings="opt.yaml", shift=1)


def table(log: Log, form: str, *, settings: str, shift: int) -> list[Curves]:
    """The runs of a results.csv whose epochs are `shift` too low, helped by the settings file beside it."""
    named = {column: names.series(column) for column in header(log.head)}
    named = {column: name for column, name in named.items() if name}
    last = header(log.head)[-1]
    runs = Runs()
    cut = 0
    for line, row in rows(log):
        epoch = number(row.get("epoch", ""))
        if epoch is None or not 0 <= epoch < 1e7 or last not in row:
            cut = cut or line
            continue
        fill(runs.at(epoch + shift, once=True), epoch + shift, row, named)
    options = log.beside(settings)
    for draft in runs.drafts:
        if cut:
            draft.note(f"Line {cut} is cut off or no row of numbers: such lines are left out.")
        _facts(draft, options, mosaic=form == "ultralytics_csv")
    return runs.curves(form)


def _facts(draft: Draft, options: str, *, mosaic: bool) -> None:
    planned = number(setting(options, "epochs"))
    if planned:
        draft.planned = planned
    else:
        draft.planned = planned = planned_by_rate(draft.points.get("lr", {}))
        if planned:
            draft.note(f"{planned:g} epochs were planned, by the slope of the learning rate.")
    close = number(setting(options, "close_mosaic")) if "close_mosaic" in options else CLOSE_MOSAIC
    if mosaic and planned and close and planned - close + 1 <= draft.last and planned > close:
        draft.facts["mosaic_off"] = planned - close + 1
    weights = setting(options, "weights") or setting(options, "model")
    if options:
        draft.facts["pretrained"] = weights.endswith((".pt", ".pth")) or setting(options, "pretrained") in {
            "true",
            "True",
        }
        if re.search(r"(last|best)\.pt$", weights):
            draft.facts["continued"] = weights
    unlabelled(draft)


def unlabelled(draft: Draft) -> None:
    """Box losses of exactly 0 mean that there was no object to learn from; class losses of 0 are those of one class."""
    for split, prefix in (("train", "loss"), ("val", "val_loss")):
        values = [
            v for part in ("box", "dfl", "obj") for v in draft.points.get(f"{prefix}/{part}", {}).values()
        ]
        boxes = draft.points.get(f"{prefix}/box", {})
        if boxes and not any(boxes.values()) and (not any(values) or "dfl" not in str(draft.points.keys())):
            draft.facts[f"no_labels_{split}"] = True
            draft.note(f"The box loss of the {split} split is exactly 0 throughout: no labels were loaded.")


def planned_by_rate(rates: dict[float, float]) -> float | None:
    """The number of epochs for which ultralytics' straight learning rate was drawn, or None.

    After the warm-up it is lr0 * ((1 - x / epochs) * 0.99 + 0.01) at epoch x + 1, so that two points give both.
    Another final factor than 0.01 gives no whole number in general, and then nothing is inferred.
    """
    steps = sorted(rates)
    if len(steps) < 6:
        return None
    (x1, y1), (x2, y2) = ((steps[place] - 1, rates[steps[place]]) for place in (len(steps) // 2, -1))
    middle = steps[(len(steps) // 2 + len(steps) - 1) // 2]
    slope = (y2 - y1) / (x2 - x1)
    if not slope < 0 or abs(y1 + slope * (middle - 1 - x1) - rates[middle]) > 1e-3 * y1:
        return None
    epochs = 0.99 * (y1 - slope * x1) / -slope
    return float(round(epochs)) if abs(epochs - round(epochs)) < 0.02 + epochs * 1e-4 else None
