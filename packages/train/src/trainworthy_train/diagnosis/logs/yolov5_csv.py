"""`results.csv` of YOLOv5, and what it has in common with the later one of ultralytics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainworthy_train.diagnosis.logs import names
from trainworthy_train.diagnosis.logs.draft import Draft, Runs, setting
from trainworthy_train.diagnosis.logs.log import number
from trainworthy_train.diagnosis.logs.tables import fill, header, rows

if TYPE_CHECKING:
    from trainworthy_train.diagnosis.logs.log import Log
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
    needed = header(log.head)[-2]  # the last, a learning rate, may be cut off
    runs = Runs()
    cut = 0
    for line, row in rows(log):
        epoch = number(row.get("epoch", ""))
        if epoch is None or not 0 <= epoch < 1e7 or needed not in row:
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
    """What the settings beside the log say, or the learning rate where there are none."""
    draft.planned = number(setting(options, "epochs"))
    if draft.planned is None:
        draft.planned = planned_by_rate(draft.points.get("lr", {}), draft.last, late=0 if mosaic else 1)
        if draft.planned:
            draft.note(f"{draft.planned:g} epochs were planned, by the slope of the learning rate.")
    close = number(setting(options, "close_mosaic"))
    close = CLOSE_MOSAIC if close is None else close
    if mosaic and draft.planned and 0 < close < draft.planned and draft.planned - close < draft.last:
        draft.facts["mosaic_off"] = draft.planned - close + 1
    if options:
        weights = [setting(options, name) for name in ("weights", "model", "pretrained", "resume")]
        draft.facts["pretrained"] = any(name.endswith((".pt", ".pth")) for name in weights)
        own = next((name for name in weights if re.search(r"(^|[/\\])(last|best)\.pt$", name)), "")
        if own:
            draft.facts["continued"] = own


def planned_by_rate(rates: dict[float, float], last: float, *, late: int) -> float | None:
    """The number of epochs for which a straight learning rate was drawn, or None where it is not straight.

    After the warm-up it is lr0 * ((1 - x / epochs) * (1 - end) + end) at epoch x + 1 + late, so that two points give
    lr0 and epochs for each `end`, the share that is left; YOLOv5 logs the rate of the epoch before. An `end` under
    which the run is complete is believed first, and then the default, if it gives a whole number.
    """
    steps = sorted(rates)
    if len(steps) < 6:
        return None
    first, middle, end = steps[len(steps) // 2], steps[len(steps) * 3 // 4], steps[-1]
    slope = (rates[end] - rates[first]) / (end - first)
    straight = abs(rates[first] + slope * (middle - first) - rates[middle]) <= 1e-3 * rates[first]
    if not slope < 0 or not straight:
        return None
    begin = rates[first] - slope * (first - 1 - late)
    guesses = {share: (1 - share) * begin / -slope for share in _SHARES_LEFT}
    for guess in guesses.values():
        # Ultralytics before 8.1 logged the rate of the epoch before, too.
        if _whole(guess) and round(guess) in {last, last + 1}:
            return last
    guess = guesses[_SHARES_LEFT[0]]
    return float(round(guess)) if _whole(guess) and guess > last else None


_SHARES_LEFT = (0.01, 0.1, 0.2, 0.12)  # `lrf`: ultralytics' default, and those of YOLOv5's other settings


def _whole(epochs: float) -> bool:
    return abs(epochs - round(epochs)) < 0.02 + epochs * 1e-4  # rates have five digits
